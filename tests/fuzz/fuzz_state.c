/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: the input is a packed MachineState, as it comes from a peer. The
 * device part must be refused or be loaded so that it can be saved again.
 */
#include <stdlib.h>
#include <string.h>

#include "fakes/fake-driver.h"
#include "fuzz/fuzz.h"
#include "machine.h"

#define RAM	(1u << 20)

/* Save the devices of a used machine; the packed length. */
static size_t
pack_state(struct machine *m, uint8_t *buf, size_t max)
{
	Persona__State__MachineState *s = malloc(sizeof(*s));
	size_t len;

	if (s == NULL)
		abort();
	persona__state__machine_state__init(s);
	s->arch = strdup("test");
	s->cpu_baseline = strdup("none");
	if (machine_save(m, s) < 0)
		abort();
	len = persona__state__machine_state__get_packed_size(s);
	if (len <= max)
		persona__state__machine_state__pack(s, buf);
	persona__state__machine_state__free_unpacked(s, NULL);
	return len <= max ? len : 0;
}

void
fuzz_one(const uint8_t *data, size_t len)
{
	static uint8_t again[FUZZ_MAX_BYTES];
	Persona__State__MachineState *s;
	const char *why = NULL;
	struct fake_env f;
	struct machine *m;

	s = persona__state__machine_state__unpack(NULL, len, data);
	if (s == NULL)
		return;
	fake_env_init(&f, RAM);
	if (machine_new(&m, &f.env) < 0)
		abort();
	if (machine_load(m, s, &why) == 0) {
		machine_start(m);
		for (unsigned int q = 0; q < 3; q++) {
			bus_write(f.env.bus, BUS_MMIO, DRV_SLOT + 0x50, 4, q);
			bus_write(f.env.bus, BUS_MMIO, DRV_SLOT + 0x1050, 4,
			    q);
		}
		fake_env_run(&f);
		machine_stop(m);
		if (pack_state(m, again, sizeof(again)) == 0)
			abort();
	} else if (why == NULL) {
		abort();
	}
	machine_free(m);
	fake_env_fini(&f);
	persona__state__machine_state__free_unpacked(s, NULL);
}

size_t
fuzz_seed(unsigned int i, uint8_t *buf, size_t max)
{
	struct fake_driver drv;
	struct fake_env f;
	struct machine *m;
	size_t len;

	if (i > 1)
		return 0;
	fake_env_init(&f, RAM);
	if (machine_new(&m, &f.env) < 0)
		abort();
	if (i == 1)
		drv_start(&drv, &f, 2, 1ULL << 28);
	len = pack_state(m, buf, max);
	machine_free(m);
	fake_env_fini(&f);
	return len;
}
