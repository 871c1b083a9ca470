# SPDX-License-Identifier: ISC
# bash completion for personactl(1): commands, their options, names of personas
# and peers. Asks personad for names; without it there simply are none. Names
# with blanks are offered quoted.

# Words that may follow a command; a test compares them with the program's table.
_personactl_options()
{
	case $1 in
	'') echo --socket --json --help --version ;;
	create) echo --kernel --initrd --append --memory --cpus --cpu \
		--disk --disk-image --image --start --net \
		--forward --limit-cpu --limit-memory --encrypt \
		--passphrase-file ;;
	start | unlock) echo --passphrase-file ;;
	set) echo --forward --no-forwards ;;
	list | peers) echo --names ;;
	stop | pair) echo --timeout ;;
	checkpoint) echo --label ;;
	checkpoints) echo --delete ;;
	console) echo --virtio ;;
	delete | restore) echo --yes ;;
	export) echo --passphrase-file --to --checkpoint --label --plain ;;
	import) echo --name --passphrase-file ;;
	move) echo --budget --bandwidth --detach --dry-run ;;
	image) echo --kernel --initrd --disk --cmdline --name --label --arch \
		--memory --policy ;;
	policy) echo --key ;;
	status) echo --follow ;;
	switch) echo --suspend ;;
	top) echo --delay --count ;;
	limit) echo --cpu --memory --take-back ;;
	esac
	[ -z "$1" ] || echo --socket --json --help
}

_personactl_commands='doctor create list show start stop kill pause resume
	suspend switch lock unlock checkpoint checkpoints restore console set
	delete top limit export import image policy peers pair unpair move
	status cancel'

# Offer the lines of standard input that begin with $1, quoted for the shell.
_personactl_offer()
{
	local line

	COMPREPLY=()
	while IFS= read -r line; do
		[[ $line == "$1"* ]] && COMPREPLY+=("$(printf %q "$line")")
	done
}

# Names from the running personad, through the socket given on this line.
_personactl_names()
{
	local socket=$1 prefix=$2 kind=$3

	_personactl_offer "$prefix" < <(personactl \
		${socket:+--socket "$socket"} "$kind" --names 2>/dev/null)
}

_personactl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command='' socket='' arguments=0 i word

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--socket | -S)
			socket=${COMP_WORDS[++i]}
			;;
		--kernel | --initrd | --append | --memory | --cpus | --cpu | \
		--disk | --disk-image | --image | --key | --cmdline | --arch | \
		--policy | --forward | --limit-cpu | --limit-memory | --timeout | --budget | --bandwidth | \
		--to | --passphrase-file | --delete | --checkpoint | \
		--label | --name | \
		--delay | --count | --take-back | -[kiamcdtbrpln])
			((i++))
			;;
		-*) ;;
		*)
			if [ -z "$command" ]; then
				command=$word
			else
				((arguments++))
			fi
			;;
		esac
	done
	case $prev in
	--socket | -S | --kernel | -k | --initrd | -i | --passphrase-file | -p)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--cpu)
		[ "$command" != limit ] || return
		mapfile -t COMPREPLY < <(compgen -W \
			'x86-64-v1 x86-64-v2 x86-64-v3 x86-64-v4' -- "$cur")
		return
		;;
	--to)
		_personactl_names "$socket" "$cur" peers
		return
		;;
	--append | --memory | --cpus | --timeout | --budget | --bandwidth | \
	--forward | --label | --name | --delete | --checkpoint | \
	--delay | --count | \
	--take-back | -[amctbrln])
		return
		;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(_personactl_options "$command")" -- "$cur")
		return
	fi
	case $command:$arguments in
	:*)
		mapfile -t COMPREPLY < <(compgen -W "$_personactl_commands" \
			-- "$cur")
		;;
	show:0 | start:0 | stop:0 | kill:0 | pause:0 | resume:0 | \
	suspend:0 | switch:0 | switch:1 | checkpoint:0 | checkpoints:0 | \
	restore:0 | limit:0 | lock:0 | unlock:0 | \
	console:0 | set:0 | delete:0 | export:0 | move:0 | status:0 | cancel:0)
		_personactl_names "$socket" "$cur" list
		;;
	export:1 | import:0)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	pair:0 | unpair:0 | move:1)
		_personactl_names "$socket" "$cur" peers
		;;
	esac
}

complete -F _personactl personactl
