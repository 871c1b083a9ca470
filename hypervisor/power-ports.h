/* SPDX-License-Identifier: ISC */
/*
 * Where power-off and reset live: written by the guest (dev-power.c), announced
 * to it by the ACPI tables (acpi.c). The numbers are QEMU's, so that a small
 * guest ends the same way under both.
 */
#ifndef POWER_PORTS_H
#define POWER_PORTS_H

#define POWER_PM1_PORT		0x600u	/* PM1a event block: status, enable */
#define POWER_PM1_CNT_PORT	0x604u	/* PM1a control */
#define POWER_PM1_LEN		6u	/* bytes, both blocks side by side */
#define POWER_S5_SLP_TYP	0u	/* sleep type of soft off */
#define POWER_RESET_PORT	0xcf9u
#define POWER_RESET_VALUE	0x06u
#define POWER_SCI_GSI		9u

#endif
