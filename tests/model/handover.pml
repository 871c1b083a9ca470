/* SPDX-License-Identifier: ISC */
/*
 * The handover (persona-design(7), "The handover"), as a model: two handsets with
 * durable records, messages that are lost and repeated, a crash at any point.
 * Knows records and messages; pages, keys and time do not exist here: every wait
 * may end at any moment, which covers all timeouts at once.
 *
 * What must hold (invariant 1): never two running copies. tests/model/check also
 * insists that spin notices when a rule is left out (-DNO_STOPPED_RULE,
 * -DTAKE_BACK_EARLY).
 */

#define ATTEMPTS 2	/* tries of the same move; more add no new situations */
#define CRASHES  1	/* of each side */

mtype = {
	/* the source's durable record */
	RUNNING, STOPPED, RELEASED, MOVED,
	/* the target's durable record */
	NONE, PREPARED, ABORTED, OWNER,
	/* messages, each with its attempt */
	m_state, m_prepared, m_release, m_running, m_aborted, m_ask
};

mtype source = RUNNING;
byte source_attempt = 0;
bool source_runs = true;	/* its vCPUs */

mtype target = NONE;
byte target_attempt = 0;
bool target_runs = false;

/* A full channel blocks its sender here, so losing must always be possible. */
chan to_target = [1] of { mtype, byte };
chan to_source = [1] of { mtype, byte };

/* The two rules that the check leaves out in turn. */
#ifdef NO_STOPPED_RULE
#define MAY_RELEASE (source == STOPPED || source == RUNNING)
#else
#define MAY_RELEASE (source == STOPPED)
#endif
#ifdef TAKE_BACK_EARLY
#define MAY_TAKE_BACK (source == RELEASED)
#else
#define MAY_TAKE_BACK false
#endif

#define ONE_OWNER assert(!(source_runs && target_runs))

/* Sending may always fail: the message is lost, or the link is full. */
inline send(c, what, attempt) {
	if
	:: nfull(c) -> c!what, attempt
	:: skip
	fi
}

active proctype Source()
{
	byte a, crashes = 0;
	mtype what;

end:	do
	/* A new attempt; its number is durable before anything is said. */
	:: atomic { source == RUNNING && source_attempt < ATTEMPTS ->
		source_attempt++ }

	/* The last stop: the record first, then the vCPUs, then the state. */
	:: atomic { source == RUNNING && source_attempt > 0 ->
		source = STOPPED; source_runs = false;
		send(to_target, m_state, source_attempt) }

	/* Giving up before the release: this attempt is dead for ever. */
	:: atomic { source == STOPPED ->
		source = RUNNING; source_runs = true;
		if
		:: source_attempt < ATTEMPTS -> source_attempt++
		:: else -> source_attempt = ATTEMPTS + 1
		fi;
		ONE_OWNER }

	/* Only without its rule: taking back on a timeout. */
	:: atomic { MAY_TAKE_BACK ->
		source = RUNNING; source_runs = true; ONE_OWNER }

	/* Crash and restart: records stay, vCPUs that may run do so again. */
	:: atomic { crashes < CRASHES && source != MOVED ->
		crashes++;
		if
		:: source == STOPPED ->
			source = RUNNING; source_runs = true;
			source_attempt++; ONE_OWNER
		:: else -> skip
		fi }

	/* Repeats: what a released source says until it hears an answer. */
	:: atomic { source == RELEASED ->
		send(to_target, m_release, source_attempt) }

	:: atomic { to_source?what, a ->
		if
		:: what == m_prepared && a == source_attempt && MAY_RELEASE ->
			source = RELEASED; send(to_target, m_release, a)
		:: what == m_ask && source == RELEASED &&
		    a == source_attempt -> send(to_target, m_release, a)
		:: what == m_running && source == RELEASED &&
		    a == source_attempt -> source = MOVED
		:: what == m_aborted && source == RELEASED &&
		    a == source_attempt ->
			source = RUNNING; source_runs = true; source_attempt++;
			ONE_OWNER
		:: else -> skip	/* another attempt, or out of place */
		fi }
	od
}

active proctype Target()
{
	byte a, crashes = 0;
	mtype what;

end:	do
	/* A target that waits asks: "released?" */
	:: atomic { target == PREPARED ->
		send(to_source, m_ask, target_attempt) }
	:: atomic { target == PREPARED ->
		send(to_source, m_prepared, target_attempt) }

	/* It may abort at any time; once durable it never owns this attempt. */
	:: atomic { target == PREPARED -> target = ABORTED }

	/* Repeats of the last word. */
	:: atomic { target == ABORTED ->
		send(to_source, m_aborted, target_attempt) }
	:: atomic { target == OWNER ->
		send(to_source, m_running, target_attempt) }

	/* A crash loses the arrived memory: what was prepared is aborted. */
	:: atomic { crashes < CRASHES && target == PREPARED ->
		crashes++; target = ABORTED }

	:: atomic { to_target?what, a ->
		if
		:: what == m_state && a > target_attempt && target != OWNER ->
			target = PREPARED; target_attempt = a;
			send(to_source, m_prepared, a)
		:: what == m_release && target == PREPARED &&
		    a == target_attempt ->
			target = OWNER; target_runs = true;
			ONE_OWNER;
			send(to_source, m_running, a)
		:: else -> skip
		fi }
	od
}
