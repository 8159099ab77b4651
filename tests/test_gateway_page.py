"""The page in a real browser, over the real application: both languages, changes by itself, a lost line, a phone."""

import json

import pytest
from browser import Browser
from hall_broker import free_port
from sealing_device import MORNING_S
from web_hall import WebHall

pytestmark = pytest.mark.browser

EARLY_S = MORNING_S // 86_400 * 86_400 + 1200  # 08:20 in China
LATE_S = EARLY_S + 900
DEVICES = [("e-001", "evaluator"), ("e-002", "evaluator"), ("c-001", "clock")]


@pytest.fixture(scope="module")
def browser(chromium):
    with Browser() as made:
        made.resize(1920, 1080)
        yield made


@pytest.fixture
def hall(tmp_path):
    made = WebHall(tmp_path, DEVICES)
    made.devices["e-002"].place = "02"
    made.write_registry()
    made.registry.refresh(1e9)
    fill(made)
    yield made
    made.stop()


def fill(hall):
    first, second, clock = hall.devices.values()
    hall.real.now_s = LATE_S
    hall.take(first.opened(EARLY_S), first.rating(None, EARLY_S, visit="A-0"))
    hall.take(*(first.rating(level, EARLY_S, visit=f"A-{level}") for level in (5, 5, 4, 1, 1)), first.heartbeat(LATE_S))
    hall.take((second, second.opened(EARLY_S)))
    hall.take((clock, clock.opened(EARLY_S)), (clock, clock.punch("S001", EARLY_S)))
    hall.take((clock, clock.punch("S002", LATE_S)), (clock, clock.heartbeat(LATE_S)))
    hall.project()


def show(browser, hall, language="zh"):
    browser.console.clear()
    browser.open(f"{hall.url}/?lang={language}")
    browser.wait(lambda: browser.text("#windows").strip())


def test_the_page_shows_the_hall_in_chinese(browser, hall):
    show(browser, hall)
    assert browser.evaluate("document.documentElement.lang") == "zh-CN"
    assert browser.evaluate("document.title") == "办事大厅实时看板"
    assert browser.text("#good-rate") == "60.0%"
    assert browser.text("#rating-rate") == "83.3%"
    assert browser.text("#levels").split()[:3] == ["非常满意", "2", "40%"]
    rows = browser.evaluate(
        "[...document.querySelectorAll('#levels tr')].map(row => row.innerText.split(/\\s+/).slice(0, 2))"
    )
    assert rows == [
        ["非常满意", "2"],
        ["满意", "1"],
        ["基本满意", "0"],
        ["不满意", "0"],
        ["非常不满意", "2"],
        ["未评价", "1"],
    ]
    assert browser.text("#sign-in-summary").startswith("2 人已签到，1 人迟到")
    assert browser.text("#sign-ins li:first-child").split() == ["08:35:00", "S002", "01", "门", "迟到"]
    assert "01 门" in browser.text("#doors")
    assert browser.text("#feed li:first-child b") == "01 门"
    assert browser.text("#states").split() == ["3", "在线"]
    assert browser.console == []


def test_the_page_shows_the_hall_in_english_at_a_click_and_remembers_it(browser, hall):
    show(browser, hall)
    browser.click("#language")
    assert browser.evaluate("document.documentElement.lang") == "en"
    assert browser.text("h1") == "Service hall, live"
    assert browser.text("#levels tr:last-child th") == "Not rated"
    assert browser.text("#sign-in-summary").startswith("2 signed in, 1 late")
    assert browser.text("#feed li:first-child").split()[-2:] == ["S002", "punched"]
    assert browser.text("#language") == "中文"
    browser.open(hall.url + "/")
    browser.wait(lambda: browser.text("#windows").strip())
    assert browser.text("h1") == "Service hall, live"
    browser.click("#language")
    assert browser.text("h1") == "办事大厅实时看板"
    assert browser.console == []


def test_every_word_exists_in_both_languages(browser, hall):
    show(browser, hall)
    missing = browser.evaluate("""import('/page/words.js').then((words) => {
        const shape = (value) => typeof value === 'object'
            ? Object.keys(value).sort().map((key) => [key, shape(value[key])])
            : [...String(value).matchAll(/\\{\\w+\\}/g)].map((found) => found[0]).sort();
        const all = (name) => { words.setLanguage(name); return JSON.stringify(shape(words.all())); };
        const found = words.LANGUAGES.map(all);
        const asked = [...document.querySelectorAll('[data-word]')].map((node) => node.dataset.word);
        words.setLanguage('zh');
        return { same: found[0] === found[1], unknown: asked.filter((key) => words.word(key) === undefined) };
    })""")
    assert missing == {"same": True, "unknown": []}


def test_a_new_rating_appears_by_itself(browser, hall):
    show(browser, hall)
    assert browser.evaluate("document.querySelectorAll('#windows .bars i').length") == 5
    second = hall.devices["e-002"]
    dots = "document.querySelectorAll('#windows .tile:nth-child(2) .dots .there').length"
    for number, level in enumerate((4, 5, 4, 5)):
        hall.take((second, second.rating(level, LATE_S, visit=f"B-{number}")))
    hall.project()
    browser.wait(lambda: browser.evaluate(dots) == 4)
    assert browser.text("#good-rate") == "60.0%"  # four levels show nowhere
    hall.take((second, second.rating(1, LATE_S, visit="B-4")))
    hall.project()
    browser.wait(lambda: browser.text("#good-rate") == "70.0%")
    assert browser.text("#feed li:first-child").split() == ["约", "08:30", "02", "号窗口", "5", "条评价"]
    for place in ("#windows .tile:nth-child(2)", "#feed li:first-child"):
        bars = f"[...document.querySelectorAll('{place} .bars i')].map(bar => bar.dataset.level).join('')"
        assert browser.evaluate(bars) == "55441"


def test_a_lost_line_is_told_and_found_again(browser, tmp_path):
    port = free_port()  # held: nobody takes it while the gateway is away
    hall = WebHall(tmp_path, DEVICES, port=port)
    show(browser, hall)
    assert browser.evaluate("document.querySelector('#lost').hidden")
    hall.stop()
    browser.wait(lambda: not browser.evaluate("document.querySelector('#lost').hidden"), 20)
    assert browser.text("#lost").startswith("连接已断开")
    again = WebHall(tmp_path, port=port, keys=hall.keys)
    browser.wait(lambda: browser.evaluate("document.querySelector('#lost').hidden"), 20)
    again.stop()


def test_a_hall_without_devices_says_so(browser, tmp_path):
    (tmp_path / "registry.json").write_text(json.dumps({"hall": "yongxing", "devices": []}))
    (tmp_path / "roster.json").write_text(json.dumps({"version": 1, "staff": []}))
    hall = WebHall(tmp_path)
    browser.open(hall.url + "/?lang=zh")
    browser.wait(lambda: browser.text("#no-windows"))
    assert browser.text("#no-windows") == "还没有登记评价器"
    assert browser.text("#good-rate") == "—"
    assert browser.text("#no-feed") == "等待第一条记录"
    hall.stop()


@pytest.mark.parametrize(("width", "height"), [(375, 812), (768, 1024), (1366, 768), (1920, 1080)])
def test_no_screen_needs_to_scroll_sideways(browser, hall, width, height):
    browser.resize(width, height, phone=width < 700)
    for language in ("zh", "en"):
        show(browser, hall, language)
        assert browser.evaluate("document.documentElement.scrollWidth") == width
        ends = "[...document.querySelectorAll('.figures *, .top *')].map(node => node.getBoundingClientRect().right)"
        assert max(browser.evaluate(ends)) <= width
    browser.resize(1920, 1080)


def test_a_hostile_name_is_text_and_nothing_else(browser, hall):
    clock = hall.devices["c-001"]
    hall.take((clock, clock.punch("<img src=x>", LATE_S + 1)))
    hall.project()
    show(browser, hall)
    assert browser.evaluate("document.querySelectorAll('#sign-ins img').length") == 0
    assert "<img src=x>" in browser.text("#sign-ins")
    assert browser.console == []


def test_text_can_be_read_by_day_and_by_night(browser, hall):
    contrast = """(() => {
        const light = (text) => {
            const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(Number)
                .map((one) => one / 255).map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = (node) => {
            for (; node; node = node.parentElement) {
                const found = getComputedStyle(node).backgroundColor;
                if (!/, 0\\)|transparent/.test(found)) return found;
            }
            return 'rgb(255, 255, 255)';
        };
        const names = 'h1;.quiet;.tile h3;.tile-foot;.badge;.count;.row time;.language;.feed .what'.split(';');
        return names.map((name) => {
            const node = document.querySelector('main ' + name) ?? document.querySelector(name);
            const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
            return [name, (a + 0.05) / (b + 0.05)];
        }).filter(([, ratio]) => ratio < 4.5);
    })()"""
    for dark in (False, True):
        browser.resize(1920, 1080, dark)
        show(browser, hall)
        assert browser.evaluate(contrast) == []
    browser.resize(1920, 1080)
