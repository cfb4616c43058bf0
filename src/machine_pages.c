/* SPDX-License-Identifier: ISC */
/*
 * The memory behind reads of PCI that do not exit (doc/adr/0010-virtio-pci-pages.md):
 * the images of BARs, and directly above them the ECAM window; one read-only slot.
 *
 *	ecam_base - images_len	page images of virtio functions, while they decode there
 *	ecam_base		a page for each function, all-ones where nobody lives
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "err.h"
#include "log.h"
#include "machine_arch.h"
#include "util.h"
#include "virtio_transport.h"
#include "vm.h"

enum {
	/*
	 * A memfd of so many bytes of all-ones is mapped over it all again and
	 * again, privately: a page of its own costs only who writes to it.  Larger
	 * takes longer to fill, smaller more mappings.  Also the largest page that an
	 * arm64 host may have.
	 */
	ABSENT_LEN = 64 * 1024,
};

_Static_assert(PCI_ECAM_LEN % ABSENT_LEN == 0, "mapped a whole number of times");

static int
absent_fd(void)
{
	uint8_t absent[4096];
	int fd = memfd_create("vmm-pci-absent", MFD_CLOEXEC);

	memset(absent, 0xff, sizeof(absent));
	for (unsigned n = 0; fd >= 0 && n < ABSENT_LEN; n += sizeof(absent)) {
		if (write(fd, absent, sizeof(absent)) != (ssize_t)sizeof(absent)) {
			close(fd);
			return -ENOMEM;
		}
	}
	return fd < 0 ? -errno : fd;
}

/* All-ones from at on, copied where it is written to. */
static int
map_absent(uint8_t *at, size_t len)
{
	int fd = absent_fd(), rc = 0;

	if (fd < 0)
		return fd;
	for (size_t off = 0; rc == 0 && off < len; off += ABSENT_LEN)
		if (mmap(at + off, ABSENT_LEN, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED)
			rc = -errno;
	close(fd);
	return rc;
}

static int
map_pages(struct machine_pages *pg)
{
	void *p = mmap(NULL, pg->len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	pg->hva = p;
	return map_absent(pg->hva, pg->len);
}

int
machine_pages_new(struct machine *m, struct err *e)
{
	struct machine_pages *pg = &m->pages;
	struct machine_pci_layout layout;
	unsigned n = machine_virtio_images(m->cfg);
	int rc;

	/* Without, the same reads exit and get the same answers. */
	if (!m->cfg->pci.pages || !vm_has_readonly(m->vm))
		return 0;
	machine_arch_pci(m, &layout);
	pg->images_len = align_up((uint64_t)n * VIRTIO_PCI_IMAGE_LEN, ABSENT_LEN);
	pg->len = pg->images_len + PCI_ECAM_LEN;
	pg->gpa = layout.ecam_base - pg->images_len;
	rc = map_pages(pg);
	if (rc)
		return err_set(e, -rc, "memory for PCI registers: %s", strerror(-rc));
	return vm_map(m->vm, pg->gpa, pg->hva, pg->len, VM_MAP_READONLY, e);
}

/* A BAR decodes over the images: from now on all reads exit. */
static void
covered(void *arg)
{
	struct machine *m = arg;

	log_debug("pci: a BAR was moved over page images; reads exit from now on");
	vm_unmap(m->vm, m->pages.gpa);
}

void
machine_pages_show(struct machine *m, struct pci_segment_config *sc)
{
	struct machine_pages *pg = &m->pages;

	if (!pg->hva)
		return;
	sc->ecam = pg->hva + pg->images_len;
	sc->images = (struct pci_images){
		.window = { .base = pg->gpa, .len = pg->images_len },
		.hva = pg->hva,
		.covered = covered,
		.arg = m,
	};
}

void
machine_pages_free(struct machine *m)
{
	if (m->pages.hva)
		munmap(m->pages.hva, m->pages.len);
}
