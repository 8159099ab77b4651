"""Reasons for a bad rating, as a visitor reads them: two lines of up to eight Chinese or sixteen English characters.

The numbers are the platform's (domain reference 3.6) and go on the wire; the words are shortened to a question that
yes and no answer. The config says which are in force; one that has no words here cannot be asked for.
"""

TAGS = """
207 zh 没有提供|材料样本？
207 en No sample of|the papers?
208 zh 没有提供|材料清单？
208 en No list of|the papers?
209 zh 未在承诺时间内|办结？
209 en Not done within|promised time?
210 zh 同样的材料|被要求多次提交？
210 en Same papers|asked for again?
211 zh 承诺网办|但无法在线办理？
211 en Promised online,|but it is not?
212 zh 在线预约后到大厅|重复取号排队？
212 en Booked online,|queued again?
213 zh 窗口人员|业务不熟练？
213 en Staff not|well trained?
214 zh 窗口人员|服务态度生硬？
214 en Staff was|unfriendly?
108 zh 在办事指南之外|增加审批条件？
108 en More conditions|than in guide?
109 zh 要求提供|指南之外的材料？
109 en More papers than|in the guide?
110 zh 无理由超过|法定办理时间？
110 en Over legal time|without reason?
111 zh 办事指南提供的|样本有错？
111 en Sample in guide|is wrong?
112 zh 承诺在线收材料|实际无法收取？
112 en Papers not taken|online?
113 zh 在多个窗口和部门|之间来回跑？
113 en Sent from one|desk to another?
114 zh 跑动次数|与承诺的不一致？
114 en More trips|than promised?
115 zh 服务态度差|效率低？
115 en Unfriendly|and slow?
"""


def words(code, language):
    """What the display says for a tag code, lines with "|" between them; "" where it has no words for it."""
    start = TAGS.find("\n%d %s " % (code, language)) + 1
    return TAGS[start + 7 : TAGS.index("\n", start)] if start else ""


def of_level(codes, level):
    """Those of `codes` that belong to this level and have words, in their order."""
    return [code for code in codes if code // 100 == level and words(code, "zh")]
