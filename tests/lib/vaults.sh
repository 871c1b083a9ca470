# SPDX-License-Identifier: ISC
# What stories of encrypted personas need and say. To be sourced by bash first of
# all, before daemon.sh, whose words it uses later; for two handsets only the first
# of these is of use. Knows no story.
#
#   vaults_need          exits 77 with a reason where nothing can be encrypted
#   vaults_alone "$@"    goes on in a mount namespace of its own: others on this
#                        machine may copy theirs, and would hold our mounts with it
#   vaults_unmount       every vault of $work, and its storage
#   vaults_clean         for the trap: that, and what daemon.sh cleans
#   vault_is NAME STATE  open, locked, lost
#   empty DIR            nothing is in it, or it is not there

vaults_need() {
	local tool story
	story=$(basename "$0" .sh)
	for tool in gocryptfs fusermount3; do
		command -v $tool > /dev/null || {
			echo "SKIP: $story: $tool is not installed"
			exit 77
		}
	done
	{ [ -w /dev/fuse ] && : <> /dev/fuse; } 2> /dev/null &&
		[ "$(id -u)" = 0 ] || {
		echo "SKIP: $story: /dev/fuse cannot be used"
		exit 77
	}
}

vaults_alone() {
	[ "${1:-}" = alone ] ||
		exec unshare -m --propagation private bash "$0" alone
}

vaults_unmount() {
	local dir
	for dir in "$work"/state/vaults/*/open "$work/state"; do
		umount -l "$dir" 2> /dev/null
	done
}
vaults_clean() {
	vaults_unmount
	clean
}

vault_is() { [ "$(field "$1" vault)" = "$2" ]; }
empty() { [ -z "$(ls "$1" 2> /dev/null)" ]; }
