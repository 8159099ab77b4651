"""Every text of the displays, Chinese and English: up to four lines of eight Chinese or sixteen English characters.

One string, because one string lies in flash while a dictionary of many lies in the heap. A row: name, language, lines
with "|" between them; `%s` is replaced by the window, the door, or a name. glyphs.py holds the glyphs of these texts.
"""

TEXTS = """
idle      zh %s号窗口|请您评价服务
idle      en Window %s|Please rate us
ask       zh 请评价本次服务|请按下方按键
ask       en Rate our service|Press a button
again     zh 请只按一个键
again     en One button,|please
thanks    zh 感谢您的评价
thanks    en Thank you|for your rating
already   zh 已评价|感谢您
already   en Already rated|Thank you
timed_out zh 未评价|已超时
timed_out en Not rated|Time is over
full      zh 存储已满|请找工作人员
full      en Memory full|Ask our staff
fault     zh 设备故障|请找工作人员
fault     en Out of order|Ask our staff
ready     zh 考勤 %s|请按指纹
ready     en Door %s|Touch the sensor
punched   zh 考勤成功|%s
punched   en Recorded|%s
repeated  zh 已考勤|请勿重复
repeated  en Already|recorded
unknown   zh 未识别|请重试
unknown   en Not recognised|Try again
sensor    zh 指纹模块故障|请找工作人员
sensor    en Sensor fault|Ask our staff
offline   zh 离线
offline   en offline
"""


def lines(name, language):
    """The lines of one text. Raises ValueError for a name or language that is not in the table."""
    start = TEXTS.index("\n%-9s %s " % (name, language)) + 14
    return TEXTS[start : TEXTS.index("\n", start)].split("|")
