/* SPDX-License-Identifier: ISC */
/*
 * What the commands of personactl share: the command table's row, exit codes,
 * options and arguments. Knows nothing of what any command does.
 */
#ifndef CTL_H
#define CTL_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Exit codes; personactl(1) promises them to scripts. */
enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1,		/* personad or the user said no */
	CTL_USAGE = 2,		/* the command line makes no sense */
	CTL_UNREACHABLE = 3,	/* no personad to talk to */
	CTL_NO = 4,		/* a dry run: it could not be done now */
};

struct ctl;

struct ctl_command {
	const char	*name;
	const char	*args;		/* "PERSONA PEER", "" */
	const char	*summary;	/* one line for the list of commands */
	const char	*options;	/* own options, a line each, or NULL */
	const char	*more;		/* a few sentences, or NULL */
	int		(*run)(struct ctl *ctl, int argc, char **argv);
};

/* One run of personactl. */
struct ctl {
	const char			*socket_path;
	bool				json;
	const struct ctl_command	*command;
};

/* Options every command takes, before its own, in the table for getopt. */
#define CTL_COMMON_OPTIONS			\
	{ "socket", required_argument, NULL, 'S' },	\
	{ "json", no_argument, NULL, 'j' },		\
	{ "help", no_argument, NULL, 'h' }

/* What the common options do, for every help text. */
#define CTL_COMMON_HELP							\
	"  -S, --socket PATH     personad's control socket\n"		\
	"      --json            answer in JSON, an object a line\n"	\
	"  -h, --help            say this\n"

/* Take the value of --socket. A ctl_exit; a mistake has been reported. */
int	ctl_set_socket(struct ctl *ctl, const char *path);

/*
 * The next of the command's own options, -1 after the last. Common options are
 * dealt with here (--help prints and exits with 0); '?' after a mistake that has
 * been reported. `own` is a table ending in a zero row.
 */
int	ctl_option(struct ctl *ctl, int argc, char **argv,
	    const struct option *own);

/* For a command without options of its own: parse them all. A ctl_exit. */
int	ctl_no_options(struct ctl *ctl, int argc, char **argv);

/* For a command whose one option is a flag: *flag says whether it was given. */
int	ctl_flag_option(struct ctl *ctl, int argc, char **argv,
	    const struct option *flag_row, bool *flag);

/*
 * The arguments after the options, of which there must be min..max; pos[max] is
 * filled up with NULL. A ctl_exit; a mistake has been reported.
 */
int	ctl_arguments(struct ctl *ctl, int argc, char **argv, int min, int max,
	    const char **pos);

/* Refuse what no persona or no peer can be called. A ctl_exit; reported. */
int	ctl_check_persona(const struct ctl *ctl, const char *name);
int	ctl_check_peer(const struct ctl *ctl, const char *name);

/* As ctl_arguments for exactly one, which must be a possible persona name. */
int	ctl_persona_argument(struct ctl *ctl, int argc, char **argv,
	    const char **name);

/* Report a wrong command line; returns CTL_USAGE. */
int	ctl_usage(const struct ctl *ctl, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

/* Report a failure on stderr, or as an object with --json; CTL_FAILED. */
int	ctl_fail(const struct ctl *ctl, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

/*
 * The common way to report: the sentence (made printable) on stderr, or with
 * --json {"ok":false,...} on stdout. `error` is a -errno or 0, `reason` a
 * reason.h number or 0. Returns `status`.
 */
int	ctl_report(const struct ctl *ctl, enum ctl_exit status, int error,
	    uint32_t reason, const char *message);

/* {"ok":true} with --json, else nothing. CTL_OK. */
int	ctl_done(const struct ctl *ctl);

/*
 * Ask on stderr, read one line from stdin: true only for "y" or "yes". The end
 * of the input is a no.
 */
bool	ctl_confirm(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* --- commands, one file per group --------------------------------------- */

/* ctl-doctor.c */
int	ctl_doctor(struct ctl *ctl, int argc, char **argv);
/* ctl-create.c */
int	ctl_create(struct ctl *ctl, int argc, char **argv);
/* ctl-show.c */
int	ctl_list(struct ctl *ctl, int argc, char **argv);
int	ctl_show(struct ctl *ctl, int argc, char **argv);
/* ctl-personas.c */
int	ctl_start(struct ctl *ctl, int argc, char **argv);
int	ctl_stop(struct ctl *ctl, int argc, char **argv);
int	ctl_kill(struct ctl *ctl, int argc, char **argv);
int	ctl_pause(struct ctl *ctl, int argc, char **argv);
int	ctl_resume(struct ctl *ctl, int argc, char **argv);
int	ctl_delete(struct ctl *ctl, int argc, char **argv);
/* ctl-vault.c */
int	ctl_lock(struct ctl *ctl, int argc, char **argv);
int	ctl_unlock(struct ctl *ctl, int argc, char **argv);
/* ctl-image.c */
int	ctl_image(struct ctl *ctl, int argc, char **argv);
/* ctl-policy.c */
int	ctl_policy(struct ctl *ctl, int argc, char **argv);
/* ctl-net.c */
int	ctl_set(struct ctl *ctl, int argc, char **argv);
/* ctl-saved.c */
int	ctl_checkpoint(struct ctl *ctl, int argc, char **argv);
int	ctl_checkpoints(struct ctl *ctl, int argc, char **argv);
int	ctl_restore(struct ctl *ctl, int argc, char **argv);
int	ctl_suspend(struct ctl *ctl, int argc, char **argv);
int	ctl_switch(struct ctl *ctl, int argc, char **argv);
/* ctl-top.c */
int	ctl_top(struct ctl *ctl, int argc, char **argv);
int	ctl_limit(struct ctl *ctl, int argc, char **argv);
/* ctl-console.c */
int	ctl_console(struct ctl *ctl, int argc, char **argv);
/* ctl-peers.c */
int	ctl_peers(struct ctl *ctl, int argc, char **argv);
int	ctl_unpair(struct ctl *ctl, int argc, char **argv);
/* ctl-pair.c */
int	ctl_pair(struct ctl *ctl, int argc, char **argv);
/* ctl-file.c */
int	ctl_export(struct ctl *ctl, int argc, char **argv);
int	ctl_import(struct ctl *ctl, int argc, char **argv);
/* ctl-move.c */
int	ctl_move(struct ctl *ctl, int argc, char **argv);
int	ctl_status(struct ctl *ctl, int argc, char **argv);
int	ctl_cancel(struct ctl *ctl, int argc, char **argv);

#endif
