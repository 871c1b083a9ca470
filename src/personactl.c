/* SPDX-License-Identifier: ISC */
/*
 * personactl: the table of commands, and the options before one. Knows nothing
 * of what a command asks or prints; that is one file per group.
 */
#include "config.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "ctl.h"

/* Each row has a section in personactl(1) and a word in the completion. */
static const struct ctl_command commands[] = {
	{ "doctor", "", "say whether this handset can run personas",
	    NULL,
	    "Works without personad too, and then says what it could not check."
	    "\nExits with 1 when something must be mended first.",
	    ctl_doctor },
	{ "create", "PERSONA --kernel FILE", "make a new persona",
	    "  -k, --kernel FILE     what to boot: bzImage, vmlinux or small ELF\n"
	    "  -i, --initrd FILE     initial RAM file system\n"
	    "  -a, --append TEXT     kernel command line\n"
	    "  -m, --memory SIZE     64M to 8G (default 512M)\n"
	    "  -c, --cpus N          1 to 8 (default 1)\n"
	    "      --cpu BASELINE    x86-64-v1 to -v4 (default x86-64-v2)\n"
	    "  -d, --disk SIZE       add an empty disk, 4K to 256G\n"
	    "      --disk-image FILE add a disk with this content, raw\n"
	    "      --image FILE      a template: a file, or one that is here\n"
	    "      --start           start it at once\n"
	    "      --net             with a network card\n"
	    "      --forward [udp:][ADDR:]HOSTPORT:GUESTPORT\n"
	    "                        a port of this handset that leads in; as\n"
	    "                        often as wanted\n"
	    "      --limit-cpu PERCENT\n"
	    "      --limit-memory SIZE\n"
	    "                        what it may take of a handset; see 'limit'\n"
	    "      --encrypt[=HOW]   keep what is stored of it encrypted; HOW is\n"
	    "                        handset (its key opens it) or passphrase\n"
	    "      --passphrase-file FILE  holds that passphrase\n",
	    "The files are copied; the persona does not need the originals.",
	    ctl_create },
	{ "list", "", "list the personas of this handset",
	    "      --names           only the names, one a line\n", NULL,
	    ctl_list },
	{ "show", "PERSONA", "show everything known about a persona",
	    NULL, NULL, ctl_show },
	{ "start", "PERSONA", "start a persona that is not running",
	    "      --passphrase-file FILE  opens one that is locked with it\n",
	    NULL, ctl_start },
	{ "stop", "PERSONA", "stop a persona as by its power switch",
	    "  -t, --timeout SECONDS how long it may take (default 5)\n",
	    NULL, ctl_stop },
	{ "kill", "PERSONA", "end a persona that does not answer",
	    NULL, NULL, ctl_kill },
	{ "pause", "PERSONA", "hold a persona still",
	    NULL, NULL, ctl_pause },
	{ "resume", "PERSONA", "let a paused persona go on",
	    NULL, NULL, ctl_resume },
	{ "top", "", "show what each persona takes",
	    "  -d, --delay SECONDS   between two looks (default 2)\n"
	    "  -n, --count N         this many tables, then leave\n",
	    "On a terminal it goes on until q or Ctrl-C, elsewhere it is one\n"
	    "table. The processor share is that of the time between two looks.",
	    ctl_top },
	{ "limit", "PERSONA", "limit what a persona may take",
	    "      --cpu PERCENT     of one processor, such as 150; or none\n"
	    "      --memory SIZE     beside its own memory; or none for the usual\n"
	    "      --take-back SIZE  ask the guest for so much of its memory\n",
	    "In force at once, also while it runs, and wherever it moves.",
	    ctl_limit },
	{ "console", "PERSONA", "talk to a persona's console",
	    "      --virtio          the virtio console, not the serial line\n",
	    "Ctrl-] then '.' or 'q' leaves; Ctrl-] twice sends one Ctrl-].\n"
	    "With --json each piece of output is an object a line.",
	    ctl_console },
	{ "set", "PERSONA", "change which ports lead into a persona",
	    "      --forward [udp:][ADDR:]HOSTPORT:GUESTPORT\n"
	    "                        as often as wanted; all others are closed\n"
	    "      --no-forwards     close them all\n", NULL, ctl_set },
	{ "unlock", "PERSONA", "open the image of an encrypted persona",
	    "  -p, --passphrase-file FILE  holds the passphrase\n",
	    "Start, export and move do it themselves where the handset's key opens it.",
	    ctl_unlock },
	{ "lock", "PERSONA", "leave nothing but ciphertext of one that is off",
	    NULL, NULL, ctl_lock },
	{ "delete", "PERSONA", "delete a persona from this handset",
	    "  -y, --yes             do not ask\n", NULL, ctl_delete },
	{ "image", "VERB ...", "list, remove or make templates",
	    "  -k, --kernel FILE     pack: what to boot\n"
	    "  -i, --initrd FILE     pack: initial RAM file system\n"
	    "  -d, --disk FILE       pack: a raw disk\n"
	    "  -c, --cmdline TEXT    pack: command line; %i, %n: id, name\n"
	    "  -n, --name NAME       pack: what it is called\n"
	    "  -l, --label TEXT      pack: a word about it\n"
	    "      --arch ARCH       pack: amd64 or arm64; else this handset's\n"
	    "  -m, --memory SIZE     pack: what a persona gets by default\n"
	    "  -p, --policy FILE     pack: a signed policy that goes with it\n",
	    "image list                  templates on this handset\n"
	    "image remove IMAGE          by name or hash; not while used\n"
	    "image pack ... FILE         make a template file",
	    ctl_image },
	{ "policy", "VERB ...", "sign a policy, look into one, renew one",
	    "  -k, --key FILE        sign: the issuer's ed25519 private key\n",
	    "policy keygen KEY           make an issuer's key (KEY and KEY.pub)\n"
	    "policy sign TEXT FILE       sign the rules in TEXT\n"
	    "policy show FILE            check a signed policy and print it\n"
	    "policy set PERSONA FILE     give a persona a newer one",
	    ctl_policy },
	{ "export", "PERSONA FILE|-", "write a persona to one file",
	    "  -p, --passphrase-file FILE  holds the file's passphrase\n"
	    "  -t, --to PEER         this paired handset may open it; repeats\n"
	    "  -c, --checkpoint NUMBER     this checkpoint, not what it is now\n"
	    "  -l, --label TEXT      a word about it, kept in the file\n"
	    "      --plain           anybody may read it\n",
	    "Without --passphrase-file, --to or --plain it asks for a passphrase on\n"
	    "the terminal. A file that exists is never overwritten.",
	    ctl_export },
	{ "import", "FILE|-", "make a persona from such a file",
	    "  -n, --name NAME       call it so, not as the file says\n"
	    "  -p, --passphrase-file FILE  holds the file's passphrase\n",
	    "It becomes a persona of its own: the one it was made from may live on.",
	    ctl_import },
	{ "suspend", "PERSONA", "save a persona's memory and end it",
	    NULL, "'start' goes on from there, at once; pages are read as they "
	    "are touched.", ctl_suspend },
	{ "switch", "FROM TO", "hold one persona still, go on with another",
	    "  -s, --suspend         suspend FROM instead of pausing it\n",
	    NULL, ctl_switch },
	{ "checkpoint", "PERSONA", "keep what a running persona is now",
	    "  -l, --label TEXT      a word for it\n",
	    "The persona runs on; it stands still only for a moment.",
	    ctl_checkpoint },
	{ "checkpoints", "PERSONA", "list the checkpoints of a persona",
	    "  -d, --delete NUMBER   delete this one instead\n", NULL,
	    ctl_checkpoints },
	{ "restore", "PERSONA NUMBER", "go back to a checkpoint",
	    "  -y, --yes             do not ask\n",
	    "The persona must not be running. 'start' then goes on from the\n"
	    "instant of the checkpoint, with new random numbers.", ctl_restore },
	{ "peers", "", "list the handsets seen or paired",
	    "      --names           only the names, one a line\n", NULL,
	    ctl_peers },
	{ "pair", "[PEER]", "trust another handset",
	    "  -t, --timeout SECONDS without PEER: how long to wait\n",
	    "Without PEER, waits for the other handset to begin. Both show six\n"
	    "digits; answer yes (on standard input) only where they are the same.",
	    ctl_pair },
	{ "unpair", "PEER", "trust another handset no longer",
	    NULL, NULL, ctl_unpair },
	{ "move", "PERSONA PEER", "move a running persona to another handset",
	    "  -b, --budget MS       longest pause to aim at (default 100)\n"
	    "  -r, --bandwidth RATE  use no more than this, such as 200Mbit\n"
	    "  -d, --detach          do not stay to watch\n"
	    "  -n, --dry-run         only ask the other handset, measure and estimate\n",
	    "Ctrl-C cancels the move, the persona goes on running here; a second\n"
	    "Ctrl-C leaves without waiting to hear so.",
	    ctl_move },
	{ "status", "[PERSONA]", "show the moves under way",
	    "  -f, --follow          stay until the end\n", NULL, ctl_status },
	{ "cancel", "PERSONA", "cancel a move",
	    NULL, NULL, ctl_cancel },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void
print_help(void)
{
	fputs("usage: personactl [OPTIONS] COMMAND [ARGUMENTS]\n\n", stdout);
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("  %-11s %-22s %s\n", commands[i].name,
		    commands[i].args, commands[i].summary);
	fputs("\noptions, before or after the command:\n" CTL_COMMON_HELP
	    "  -V, --version         say which version this is\n"
	    "\n'personactl COMMAND --help' says more; so does personactl(1).\n",
	    stdout);
}

static const struct ctl_command *
find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* Options before the command. -1 to go on, else the exit status. */
static int
global_options(struct ctl *ctl, int argc, char **argv)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "version", no_argument, NULL, 'V' },
		{ 0 }
	};

	for (;;) {
		/* '+': the first word that is no option is the command. */
		switch (getopt_long(argc, argv, "+:S:jhV", own, NULL)) {
		case -1:
			return -1;
		case 'S':
			if (ctl_set_socket(ctl, optarg) != CTL_OK)
				return CTL_USAGE;
			break;
		case 'j':
			ctl->json = true;
			break;
		case 'h':
			print_help();
			return CTL_OK;
		case 'V':
			printf("personactl %s (protocol %d)\n",
			    PACKAGE_VERSION, PROTOCOL_VERSION);
			return CTL_OK;
		default:
			return ctl_usage(ctl, "'%s' is not understood",
			    argv[optind - 1]);
		}
	}
}

/* Known before the options are read: what is wrong may stand before it. */
static bool
says_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
}

static int
run(struct ctl *ctl, int argc, char **argv)
{
	int status = global_options(ctl, argc, argv);

	if (status >= 0)
		return status;
	if (optind == argc)
		return ctl_usage(ctl, "which command?");
	ctl->command = find_command(argv[optind]);
	if (ctl->command == NULL)
		return ctl_usage(ctl, "there is no command '%s'",
		    argv[optind]);
	argc -= optind;
	argv += optind;
	optind = 0;	/* makes getopt start over, with the command's table */
	return ctl->command->run(ctl, argc, argv);
}

int
main(int argc, char **argv)
{
	struct ctl ctl = { .socket_path = getenv("PERSONA_SOCKET"),
	    .json = says_json(argc, argv) };
	int status;

	signal(SIGPIPE, SIG_IGN);
	opterr = 0;
	if (ctl.socket_path == NULL || *ctl.socket_path == '\0')
		ctl.socket_path = PERSONA_RUNTIMEDIR "/control.sock";
	status = run(&ctl, argc, argv);
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == CTL_OK)
		status = CTL_FAILED;
	return status;
}
