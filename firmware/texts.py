"""Every text of the displays, Chinese and English: up to four lines of eight Chinese or sixteen English characters.

`%s` is replaced by the window, the door, or a name. Glyphs come from glyphs.py, which holds those of these texts and
no others.
"""

TEXTS: dict[str, dict[str, tuple[str, ...]]] = {
    "idle": {"zh": ("%s号窗口", "请您评价服务"), "en": ("Window %s", "Please rate us")},
    "ask": {
        "zh": ("请对本次服务", "作出评价", "请按下方按键"),
        "en": ("How was our", "service today?", "Press a button"),
    },
    "again": {"zh": ("请只按一个键",), "en": ("One button,", "please")},
    "thanks": {"zh": ("感谢您的评价",), "en": ("Thank you", "for your rating")},
    "timed_out": {"zh": ("未评价", "已超时"), "en": ("Not rated", "Time is over")},
    "full": {"zh": ("存储已满", "请找工作人员"), "en": ("Memory full", "Please tell staff")},
    "fault": {"zh": ("设备故障", "请找工作人员"), "en": ("Out of order", "Please tell staff")},
    "ready": {"zh": ("考勤 %s", "请按指纹"), "en": ("Door %s", "Touch the sensor")},
    "punched": {"zh": ("考勤成功", "%s"), "en": ("Recorded", "%s")},
    "repeated": {"zh": ("已考勤", "请勿重复"), "en": ("Already", "recorded")},
    "unknown": {"zh": ("未识别", "请重试"), "en": ("Not recognised", "Try again")},
    "sensor": {"zh": ("指纹模块故障", "请找工作人员"), "en": ("Sensor fault", "Please tell staff")},
}
OFFLINE = {"zh": "离线", "en": "offline"}
