#!/bin/sh
# What a demo seat runs: a page on port 8080, and work that depends on the student.
student=${LABTOP_STUDENT:-nobody}
cd "${HOME:-/workspace}" || exit 1
echo "work of $student" >"$student.txt"

# Writes a little more code, compiles it (as it were), takes a note, thinks.
code() {
    round=0
    while :; do
        round=$((round + 1))
        printf '/* round %d of %s */\nint main(void) { return %d; }\n' "$round" "$student" "$round" >>main.c
        gzip -9 </bin/busybox >build.o
        echo "round $round: built $(wc -c <build.o) bytes" >>notes.md
        echo "$student: round $round"
        sleep $((3 + (round + $$) % 5))
    done
}

# A loop that never ends, as every lab has one.
spin() { while :; do :; done; }

# Fills its memory until the kernel kills the culprit; the seat lives on.
hog() {
    while :; do
        sleep 5
        tail /dev/zero
        echo "$student: out of memory"
        sleep 25
    done
}

case $student in
s07) spin & ;;
s05) hog & ;;
s09 | s10 | s11 | s12) ;;
*) code & ;;
esac
exec httpd -f -p 8080 -h /srv
