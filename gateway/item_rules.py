"""Rules about what a visit is said to be about. Found when it is opened, see matter.py; they join its rating."""

from gateway.rule import FLAG, Rule

MATTER = (
    Rule("item_code", FLAG, "the visit's item code has neither 31 nor 33 characters", "事项编码不是 31 位或 33 位"),
    Rule("item_unknown", FLAG, "the item library has no such item", "事项库中没有这个事项"),
    Rule("item_inactive", FLAG, "the item library has the item as no longer in use", "事项已停用"),
    Rule("item_differs", FLAG, "the visit's item has another name than in the item library", "事项名称与事项库不符"),
    Rule(
        "department_differs",
        FLAG,
        "the visit's department is not the one that the item library has for the item",
        "受理部门与事项库不符",
    ),
    Rule("credit_code", FLAG, "the visit's unified social credit code fails its check", "统一社会信用代码校验不通过"),
    Rule(
        "item_words",
        FLAG,
        "the visit's words held the applicant's name or a number, or the visit's: they are not kept",
        "办件内容含申请人姓名、号码或办件编号，未予保存",
    ),
)
