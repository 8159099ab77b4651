#!/usr/bin/env bash
# Debian packages that tests use, installed where they are missing and it is possible: with root and apt-get.
# A package that cannot be had costs only its tests, which say why they were skipped. So this never fails.
set -uo pipefail

# command that shows the package is there : package
WANTED="make:make python3:python3 mosquitto:mosquitto chromium:chromium openssl:openssl"
# A page in Chinese shows boxes without it, and a screenshot of boxes tests nothing.
FONT_DIR=/usr/share/fonts/opentype/noto FONT_PACKAGE=fonts-noto-cjk

missing=()
for pair in $WANTED; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || [ -x "/usr/sbin/${pair%%:*}" ] || missing+=("${pair##*:}")
done
ls "$FONT_DIR"/NotoSansCJK* >/dev/null 2>&1 || missing+=("$FONT_PACKAGE")
# The displays' glyphs are made from it once more, and compared.
[ -e /usr/share/unifont/unifont.hex ] || missing+=(unifont)
[ ${#missing[@]} -gt 0 ] || exit 0

echo "missing Debian packages: ${missing[*]}"
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "not installed, their tests are skipped: that needs root and apt-get"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || echo "no new package lists; trying with the old ones"
for package in "${missing[@]}"; do
  apt-get install -y -qq --no-install-recommends "$package" >/dev/null || echo "could not install $package"
done
exit 0
