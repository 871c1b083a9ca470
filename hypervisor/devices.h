/* SPDX-License-Identifier: ISC */
/*
 * The device kinds there are, one line each; machine.c places them. Adding a
 * device is one file, one line here and one row there.
 */
#ifndef DEVICES_H
#define DEVICES_H

#include "dev.h"

extern const struct dev_ops dev_serial_ops;
extern const struct dev_ops dev_power_ops;
extern const struct dev_ops dev_rtc_ops;
extern const struct dev_ops dev_virtio_balloon_ops;
extern const struct dev_ops dev_virtio_blk_ops;
extern const struct dev_ops dev_virtio_console_ops;
extern const struct dev_ops dev_virtio_net_ops;
extern const struct dev_ops dev_virtio_rng_ops;
extern const struct dev_ops dev_vmgenid_ops;

#endif
