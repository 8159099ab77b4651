// All words of the page, Chinese and English, and how numbers and times are written.

export const LANGUAGES = ["zh", "en"];

const WORDS = {
  zh: {
    title: "办事大厅实时看板",
    skip: "跳到窗口",
    hall: "大厅 {hall}",
    other: "English",
    devices: "设备",
    states: { online: "在线", offline: "离线", fault: "故障", waiting: "未上线" },
    offlineFor: "离线 {span}",
    faults: { 4: "防拆开关打开", 5: "存储已满", 8: "故障", 13: "密钥已清除", 14: "已停用" },
    today: "今日评价",
    goodRate: "好评率",
    goodRateNote: "基本满意及以上",
    ratingRate: "评价率",
    ratingRateNote: "{rated} 次已评，{unrated} 次未评",
    byLevel: "各等级数量",
    levels: ["未评价", "非常不满意", "不满意", "基本满意", "满意", "非常满意"],
    windows: "窗口",
    window: "{place} 号窗口",
    published: "每满 {group} 条评价一起公布，不分先后，看不出是谁评的。",
    lastLevels: "最近两组评价",
    lowToHigh: "低 → 高",
    recent: "最近评价：{levels}",
    noRecent: "还没有评价",
    waiting: "已有 {waiting} 条评价，满 {group} 条一起公布",
    visitsToday: "{count} 件",
    ratings: "{count} 条评价",
    noWindows: "还没有登记评价器",
    signIns: "今晨签到",
    signInSummary: "{count} 人已签到，{late} 人迟到",
    signInLimit: "{limit} 截止",
    late: "迟到",
    timeUnknown: "时间未知",
    door: "{place} 门",
    doorCount: "{count} 次",
    noSignIns: "还没有人签到",
    feed: "最新动态",
    noFeed: "等待第一条记录",
    about: "约 {time}",
    punch: "{staff} 打卡",
    events: {
      1: "开始新的记录流", 2: "设备启动", 3: "时钟被调整", 4: "防拆开关打开", 5: "存储已满", 6: "自检", 7: "指纹未登记", 8: "故障",
      9: "异常重启", 10: "开门前检查", 11: "录入指纹", 12: "删除指纹", 13: "密钥已清除", 14: "设备停用", 15: "拒绝录入指纹",
      16: "拒绝升级", 17: "升级包已安装", 18: "升级完成", 19: "升级回退",
    },
    event: "设备事件 {code}",
    speed: "{speed} 倍速模拟",
    lost: "连接已断开，正在重新连接。下面是 {time} 的情况。",
    lostAtStart: "还没有连上网关，正在连接。",
    spans: { minute: "{n} 分钟", hour: "{n} 小时", day: "{n} 天" },
  },
  en: {
    title: "Service hall, live",
    skip: "Skip to windows",
    hall: "Hall {hall}",
    other: "中文",
    devices: "Devices",
    states: { online: "online", offline: "offline", fault: "fault", waiting: "not yet seen" },
    offlineFor: "offline {span}",
    faults: { 4: "case opened", 5: "storage full", 8: "fault", 13: "keys erased", 14: "out of service" },
    today: "Ratings today",
    goodRate: "Good ratings",
    goodRateNote: "fairly satisfied or better",
    ratingRate: "Visits rated",
    ratingRateNote: "{rated} rated, {unrated} not rated",
    byLevel: "Ratings by level",
    levels: ["Not rated", "Very dissatisfied", "Dissatisfied", "Fairly satisfied", "Satisfied", "Very satisfied"],
    windows: "Windows",
    window: "Window {place}",
    published: "Shown {group} at a time and in no order, so that nobody can tell who gave which.",
    lastLevels: "Latest two groups",
    lowToHigh: "low → high",
    recent: "Latest: {levels}",
    noRecent: "no rating yet",
    waiting: "{waiting} so far, shown when there are {group}",
    visitsToday: "{count} visits",
    ratings: "{count} ratings",
    noWindows: "No rating device is enrolled yet",
    signIns: "Signed in this morning",
    signInSummary: "{count} signed in, {late} late",
    signInLimit: "until {limit}",
    late: "late",
    timeUnknown: "time unknown",
    door: "Door {place}",
    doorCount: "{count} ×",
    noSignIns: "Nobody has signed in yet",
    feed: "Latest",
    noFeed: "Waiting for the first record",
    about: "~ {time}",
    punch: "{staff} punched",
    events: {
      1: "new record stream", 2: "device started", 3: "clock was stepped", 4: "case opened", 5: "storage full",
      6: "self-check", 7: "unknown finger", 8: "fault", 9: "crash", 10: "opening check", 11: "finger enrolled",
      12: "finger deleted", 13: "keys erased", 14: "decommissioned", 15: "enrolment refused",
      16: "update refused", 17: "update installed", 18: "update confirmed", 19: "update reverted",
    },
    event: "device event {code}",
    speed: "simulated, {speed}× speed",
    lost: "Connection lost, connecting again. Below is the hall at {time}.",
    lostAtStart: "Not connected to the gateway yet, connecting.",
    spans: { minute: "{n} min", hour: "{n} h", day: "{n} d" },
  },
};

let language = "zh";

export function setLanguage(name) {
  language = LANGUAGES.includes(name) ? name : "zh";
}

export function currentLanguage() {
  return language;
}

/** The entry of a key; an entry that is text gets its {places} filled from `values`. */
export function word(key, values = {}) {
  const found = WORDS[language][key];
  return typeof found === "string" ? fill(found, values) : found;
}

/** Every entry of the present language. */
export function all() {
  return WORDS[language];
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** 0..1 as a percentage, rounded down: 99.97 % must not read as 100 %. null: a dash. */
export function percent(rate, digits = 1) {
  if (rate === null || rate === undefined) return "—";
  const scale = 10 ** digits;
  return (Math.floor(rate * 100 * scale + 1e-6) / scale).toFixed(rate === 1 ? 0 : digits) + "%";
}

/** UTC seconds as the hall's own HH:MM, or HH:MM:SS. */
export function clock(utcS, offsetS, withSeconds = false) {
  const day = ((utcS + offsetS) % 86400 + 86400) % 86400;
  const minutes = two(Math.floor(day / 3600)) + ":" + two(Math.floor(day / 60) % 60);
  return withSeconds ? minutes + ":" + two(Math.floor(day % 60)) : minutes;
}

/** Seconds after midnight as H:MM. */
export function ofDay(seconds) {
  return Math.floor(seconds / 3600) + ":" + two(Math.floor(seconds / 60) % 60);
}

export function date(utcS, offsetS) {
  const form = { timeZone: "UTC", year: "numeric", month: "long", day: "numeric", weekday: "long" };
  const locale = language === "zh" ? "zh-CN" : "en-GB";
  return new Intl.DateTimeFormat(locale, form).format(new Date((utcS + offsetS) * 1000));
}

/** A length of time in its largest whole unit. */
export function span(seconds) {
  const minutes = Math.max(1, Math.floor(seconds / 60));
  const spans = WORDS[language].spans;
  if (minutes < 120) return fill(spans.minute, { n: minutes });
  if (minutes < 2880) return fill(spans.hour, { n: Math.floor(minutes / 60) });
  return fill(spans.day, { n: Math.floor(minutes / 1440) });
}

function two(number) {
  return String(number).padStart(2, "0");
}
