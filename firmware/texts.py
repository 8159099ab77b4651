"""Every text of the displays, Chinese and English: up to four lines of eight Chinese or sixteen English characters.

One string, because one string lies in flash while a dictionary of many lies in the heap. A row: name, language, lines
with "|" between them. Each `%s` takes the next value: window, door, name, digits, or lines of their own. A line that
begins with "=" labels the five buttons below the display, with "," between them: 非常满意 is on the left, 非常不满意 on
the right. From "offline" on they are marks, one line each: of a lost link, and of its cause (see link_fault.py).
glyphs.py holds the glyphs of these texts.
"""

TEXTS = """
idle       zh %s号窗口|请您评价服务
idle       en Window %s|Please rate us
idle_staff zh %s号窗口|%s|请您评价服务
idle_staff en Window %s|%s|Please rate us
worn       zh 设备待检修|仍可使用
worn       en Service needed|Still works
ask        zh 请评价本次服务|请按下方按键
ask        en Rate our service|Press a button
ask_staff  zh 请评价工作人员|请按下方按键
ask_staff  en Now rate our|staff, please
again      zh 请只按一个键
again      en One button,|please
thanks     zh 感谢您的评价|再按可以更正
thanks     en Thank you|Press to correct
reason     zh %s|=是,否,%s,退,完
reason     en %s|=Yes,No,%s,<-,End
phone      zh 可留手机号回访|%s|=#确认 *删除,,,,跳过
phone      en May we call you?|%s|=#ok *delete,,,,Skip
wrong      zh 号码位数不对|%s|=#确认 *删除,,,,跳过
wrong      en Check the number|%s|=#ok *delete,,,,Skip
kept       zh 感谢您的评价|已保存
kept       en Thank you|Saved
delivered  zh 感谢您的评价|已送达
delivered  en Thank you|Delivered
already    zh 已评价|感谢您
already    en Already rated|Thank you
timed_out  zh 未评价|已超时
timed_out  en Not rated|Time is over
full       zh 存储已满|请找工作人员
full       en Memory full|Ask our staff
fault      zh 设备故障|请找工作人员
fault      en Out of order|Ask our staff
updating   zh 正在更新|请勿断电
updating   en Updating|Keep power on
leaving    zh 设备停用中|请勿断电
leaving    en Retiring|Keep power on
locked     zh 设备已停用|请联系信息科
locked     en Not in service|Call IT section
ready      zh 考勤 %s|请按指纹
ready      en Door %s|Touch the sensor
ready_in   zh 签到 %s|请按指纹
ready_in   en In, door %s|Touch the sensor
ready_out  zh 签退 %s|请按指纹
ready_out  en Out, door %s|Touch the sensor
punched    zh 考勤成功|%s
punched    en Recorded|%s
in         zh 签到成功|%s
in         en Signed in|%s
out        zh 签退成功|%s
out        en Signed out|%s
repeated   zh 已考勤|请勿重复
repeated   en Already|recorded
unknown    zh 未识别|请重试
unknown    en Not recognised|Try again
sensor     zh 指纹模块故障|请找工作人员
sensor     en Sensor fault|Ask our staff
admin      zh 管理员|请按指纹
admin      en Administrator:|touch the sensor
choose     zh %s|长按选 短按换
choose     en %s|Hold:ok Tap:next
remove     zh 删除 %s|长按是 短按否
remove     en %s|Delete finger?|Hold:yes Tap:no
enrol      zh %s|请按手指 %s/3
enrol      en %s|Touch %s of 3
lift       zh %s|请抬起手指
lift       en %s|Lift your finger
enrolled   zh 指纹已录入|%s
enrolled   en Finger stored|%s
deleted    zh 指纹已删除|%s
deleted    en Finger deleted|%s
denied     zh 无权操作
denied     en Not permitted
failed     zh 未录入|请重新开始
failed     en Not stored|Start again
known      zh 此指纹已录入|请换一个手指
known      en Finger is known|Use another one
nobody     zh 名单为空
nobody     en Roster is empty
offline    zh 离线
offline    en offline
wifi       zh 无网络
wifi       en No network
host       zh 找不到服务器
host       en Server not found
server     zh 服务器不通
server     en Server is down
silent     zh 服务器无应答
silent     en No answer
tls        zh 加密连接失败
tls        en TLS refused
name       zh 服务器名不符
name       en Name mismatch
expired    zh 服务器证书过期
expired    en Cert. expired
early      zh 服务器证书未生效
early      en Future cert.
untrusted  zh 服务器证书不可信
untrusted  en Untrusted cert.
own        zh 本机证书被拒
own        en Own cert refused
login      zh 服务器拒绝登录
login      en Login refused
hung_up    zh 服务器断开连接
hung_up    en Server hung up
other      zh 连接错误 %s
other      en Error %s
"""


def lines(name, language):
    """The lines of one text. Raises ValueError for a name or language that is not in the table."""
    start = TEXTS.index("\n%-10s %s " % (name, language)) + 15
    return TEXTS[start : TEXTS.index("\n", start)].split("|")
