#!/bin/sh
# switch.sh PATH new|legacy: one line of switches.map, then a reload, which ends no request that is under way.
# Without arguments: how the switches stand.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
map=${SWITCHES:-$here/switches.map}
[ $# -gt 0 ] || exec cat "$map"
path=$1 side=$2
case $side in new | legacy) ;; *) echo "a side is new or legacy, not $side" >&2; exit 2 ;; esac
grep -q "^$path " "$map" || { echo "no switch for $path in $map" >&2; exit 2; }
changed=$(sed "s#^$path .*#$path $side;#" "$map")
printf '%s\n' "$changed" > "$map"
${RUN_NGINX:-nginx} -q -t
${RUN_NGINX:-nginx} -s reload
