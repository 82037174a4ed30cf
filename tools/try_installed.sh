#!/bin/sh
# Try an installed `ckpt` on the fixtures: tools/try_installed.sh PATH_OF_CKPT kernel|pure
# Run for every wheel of a release, on the system that it is for, and for the source distribution.
set -eu
ckpt=$1
kernel=$2
fixtures=$(cd "$(dirname "$0")/.." && pwd)/fixtures
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" # not the checkout, whose package Python could take instead
unset PYTHONPATH

# Run ckpt, which must exit with status $1.
ends() {
    wanted=$1
    shift
    status=0
    "$ckpt" "$@" >out.txt 2>&1 || status=$?
    if [ "$status" -ne "$wanted" ]; then
        cat out.txt
        echo "ckpt $*: exit status $status, expected $wanted" >&2
        exit 1
    fi
}

ends 0 --version
cat out.txt
case "$kernel-$(cat out.txt)" in
kernel-*'without the compiled kernel'*) echo 'the compiled kernel does not work here' >&2; exit 1 ;;
pure-*'without the compiled kernel'* | kernel-*) ;;
*) echo 'a pure wheel has no compiled kernel' >&2; exit 1 ;;
esac
ends 0 show "$fixtures/normal" --values
ends 1 diff "$fixtures/normal" "$fixtures/reflow" --values
ends 1 gate "$fixtures/reflow"
cp -R "$fixtures/reflow" student
ends 0 sanitize student --reference "$fixtures/normal" -o repaired
ends 0 verify repaired --values
ends 0 strip student --in-place
ends 0 restore student
ends 0 audit run repaired --out audit.db
echo 'it works'
