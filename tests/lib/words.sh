# SPDX-License-Identifier: ISC
# Words to say what must be true, each with a line in the output. To be sourced by a
# story in bash. Knows no program.
#
#   ok TEXT, bad TEXT            what was so, and what was not: $failures counts
#   must WHAT CMD...             CMD must succeed, mustnot: fail
#   refused WHAT PATTERN CMD...  CMD must fail and say something like PATTERN
#   await SECONDS CMD...         until CMD succeeds; false when it did not

failures=0

ok() { echo "ok: $*"; }
bad() {
	echo "FAIL: $*"
	failures=$((failures + 1))
}
must() {
	local what=$1
	shift
	if "$@"; then ok "$what"; else bad "$what"; fi
}
mustnot() {
	local what=$1
	shift
	if "$@"; then bad "$what"; else ok "$what"; fi
}
refused() {
	local what=$1 pattern=$2 said
	shift 2
	if said=$("$@" 2>&1); then
		bad "$what: was not refused"
	elif grep -qE -e "$pattern" <<< "$said"; then
		ok "$what: $(head -n 1 <<< "$said")"
	else
		bad "$what: refused, but: $said"
	fi
}
await() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}
