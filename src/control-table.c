/* SPDX-License-Identifier: ISC */
/*
 * The table of commands: what each request runs and in which state of a persona
 * it is allowed. Knows no connection.
 */
#include "control.h"

#define WHAT(name)	PERSONA__CONTROL__REQUEST__WHAT_##name
#define IN(state)	CONTROL_IN(state)
#define IN_ANY		(~0u)

static const struct control_command commands[] = {
	{ WHAT(DOCTOR), "doctor", control_doctor, NULL, 0 },
	{ WHAT(CREATE), "create", control_create, NULL, 0 },
	{ WHAT(LIST), "list", control_list, NULL, 0 },
	{ WHAT(SHOW), "show", NULL, control_show, IN_ANY },
	{ WHAT(START), "start", NULL, control_start,
	    IN(STOPPED) | IN(CRASHED) | IN(SUSPENDED) },
	{ WHAT(STOP), "stop", NULL, control_stop,
	    IN(RUNNING) | IN(PAUSED) | IN(SUSPENDED) },
	{ WHAT(KILL), "kill", NULL, control_kill,
	    IN(RUNNING) | IN(PAUSED) | IN(SAVING) },
	{ WHAT(PAUSE), "pause", NULL, control_pause,
	    IN(RUNNING) | IN(PAUSED) },
	{ WHAT(RESUME), "resume", NULL, control_resume,
	    IN(RUNNING) | IN(PAUSED) | IN(SUSPENDED) },
	/* On an arriving one too: its first words here are worth seeing. */
	{ WHAT(CONSOLE), "console", NULL, control_console,
	    IN(RUNNING) | IN(PAUSED) | IN(SENDING) | IN(RECEIVING) |
	    IN(SAVING) },
	/* Not in mid-move: its forwards have been offered already. */
	{ WHAT(SET_NET), "set", NULL, control_set_net,
	    IN(STOPPED) | IN(CRASHED) | IN(RUNNING) | IN(PAUSED) },
	{ WHAT(DELETE), "delete", NULL, control_delete,
	    IN(STOPPED) | IN(CRASHED) | IN(MOVED) },
	/* What it needs to be depends on what of it is exported. */
	{ WHAT(EXPORT_FILE), "export", NULL, control_export, IN_ANY },
	{ WHAT(IMPORT_FILE), "import", control_import, NULL, 0 },
	{ WHAT(TOP), "top", control_top, NULL, 0 },
	{ WHAT(LIMIT), "limit", NULL, control_limit, IN(STOPPED) |
	    IN(RUNNING) | IN(PAUSED) | IN(CRASHED) },
	{ WHAT(UNLOCK), "unlock", NULL, control_unlock, IN_ANY },
	{ WHAT(LOCK), "lock", NULL, control_lock,
	    IN(STOPPED) | IN(CRASHED) | IN(MOVED) | IN(SUSPENDED) },
	{ WHAT(PEERS), "peers", control_peers, NULL, 0 },
	{ WHAT(PAIR), "pair", control_pair, NULL, 0 },
	{ WHAT(PAIR_WAIT), "pair", control_pair_wait, NULL, 0 },
	{ WHAT(PAIR_ANSWER), "pair", control_pair_answer, NULL, 0 },
	{ WHAT(UNPAIR), "unpair", control_unpair, NULL, 0 },
	/* Paused by its owner it stays; it may also stand still by itself. */
	{ WHAT(MOVE), "move", NULL, control_move, IN(RUNNING) | IN(PAUSED) },
	{ WHAT(STATUS), "status", control_status, NULL, 0 },
	{ WHAT(IMAGES), "image", control_images, NULL, 0 },
	{ WHAT(IMAGE_REMOVE), "image", control_image_remove, NULL, 0 },
	{ WHAT(POLICY_SET), "policy", NULL, control_policy_set,
	    IN(STOPPED) | IN(CRASHED) | IN(RUNNING) | IN(PAUSED) |
	    IN(SUSPENDED) },
	{ WHAT(CANCEL), "cancel", NULL, control_cancel,
	    IN(SENDING) | IN(RECEIVING) | IN(SAVING) },
	{ WHAT(CHECKPOINT), "checkpoint", NULL, control_checkpoint,
	    IN(RUNNING) | IN(PAUSED) },
	{ WHAT(CHECKPOINTS), "checkpoints", NULL, control_checkpoints,
	    IN_ANY },
	{ WHAT(RESTORE), "restore", NULL, control_restore,
	    IN(STOPPED) | IN(CRASHED) | IN(SUSPENDED) },
	{ WHAT(CHECKPOINT_DELETE), "delete the checkpoint", NULL,
	    control_checkpoint_delete,
	    IN(STOPPED) | IN(CRASHED) | IN(SUSPENDED) | IN(RUNNING) |
	    IN(PAUSED) | IN(MOVED) },
	{ WHAT(SUSPEND), "suspend", NULL, control_suspend,
	    IN(RUNNING) | IN(PAUSED) },
};

const struct control_command *
control_command(const Persona__Control__Request *req)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].what == req->what_case)
			return &commands[i];
	return NULL;
}

bool
control_needs_image(const Persona__Control__Request *req)
{
	switch (req->what_case) {
	case WHAT(START):
	case WHAT(MOVE):
	case WHAT(EXPORT_FILE):
	case WHAT(RESUME):
	case WHAT(CHECKPOINT):
	case WHAT(CHECKPOINTS):
	case WHAT(RESTORE):
	case WHAT(CHECKPOINT_DELETE):
	case WHAT(SUSPEND):
		return true;
	default:
		return false;
	}
}

const char *
control_persona_name(const Persona__Control__Request *req)
{
	switch (req->what_case) {
	case WHAT(SHOW):
		return req->show->name;
	case WHAT(START):
		return req->start->name;
	case WHAT(STOP):
		return req->stop->name;
	case WHAT(KILL):
		return req->kill->name;
	case WHAT(PAUSE):
		return req->pause->name;
	case WHAT(RESUME):
		return req->resume->name;
	case WHAT(CONSOLE):
		return req->console->name;
	case WHAT(DELETE):
		return req->delete_->name;
	case WHAT(SET_NET):
		return req->set_net->name;
	case WHAT(LIMIT):
		return req->limit->name;
	case WHAT(MOVE):
		return req->move->name;
	case WHAT(POLICY_SET):
		return req->policy_set->name;
	case WHAT(CANCEL):
		return req->cancel->name;
	case WHAT(UNLOCK):
		return req->unlock->name;
	case WHAT(LOCK):
		return req->lock->name;
	case WHAT(EXPORT_FILE):
		return req->export_file->name;
	case WHAT(CHECKPOINT):
		return req->checkpoint->name;
	case WHAT(CHECKPOINTS):
		return req->checkpoints->name;
	case WHAT(RESTORE):
		return req->restore->name;
	case WHAT(CHECKPOINT_DELETE):
		return req->checkpoint_delete->name;
	case WHAT(SUSPEND):
		return req->suspend->name;
	default:
		return NULL;
	}
}
