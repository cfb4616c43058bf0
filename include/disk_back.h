/* SPDX-License-Identifier: ISC */
/* The backs of a disk, for disk_open.c. Each is as disk_open() has it. */
#ifndef VMM_DISK_BACK_H
#define VMM_DISK_BACK_H

struct disk;
struct disk_config;
struct err;
struct reactor;

/* A regular file or a block device. */
int disk_file_open(struct reactor *r, const struct disk_config *cfg, struct disk **ret,
		   struct err *e);

/* An NBD server, by its URI. Only vmm-full has it (full.h). */
int disk_nbd_open(struct reactor *r, const struct disk_config *cfg, struct disk **ret,
		  struct err *e);

#endif
