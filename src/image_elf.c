/* SPDX-License-Identifier: ISC */
/*
 * x86-64 ELF vmlinux, started through PVH: the 32-bit physical entry address in
 * the note XEN_ELFNOTE_PHYS32_ENTRY (Xen docs/misc/pvh.pandoc; the note itself is in
 * xen/include/public/elfnote.h).
 */
#include <elf.h>
#include <string.h>

#include "boot.h"
#include "image_priv.h"
#include "util.h"

enum {
	XEN_ELFNOTE_PHYS32_ENTRY = 18,
	/* Linux has 5 program headers and a handful of notes. */
	PHDRS_MAX = 64,
	NOTES_MAX = 1024,
};

static const struct machine {
	uint16_t e_machine;
	int arch; /* enum image_arch or IMAGE_FOR_OTHER */
	const char *noun;
} machines[] = {
	{ EM_X86_64, IMAGE_X86_64, "an ELF file for x86-64" },
	{ EM_AARCH64, IMAGE_ARM64, "an ELF file for arm64" },
	{ EM_386, IMAGE_FOR_OTHER, "an ELF file for 32-bit x86" },
	{ EM_ARM, IMAGE_FOR_OTHER, "an ELF file for 32-bit arm" },
	{ EM_RISCV, IMAGE_FOR_OTHER, "an ELF file for RISC-V" },
	{ EM_PPC64, IMAGE_FOR_OTHER, "an ELF file for PowerPC" },
	{ EM_S390, IMAGE_FOR_OTHER, "an ELF file for s390" },
	{ EM_MIPS, IMAGE_FOR_OTHER, "an ELF file for MIPS" },
	{ 258, IMAGE_FOR_OTHER, "an ELF file for LoongArch" }, /* not in every elf.h */
};

bool
image_is_elf(const struct image_source *s)
{
	return image_has(s, 0, ELFMAG, SELFMAG);
}

const char *
image_elf_noun(const struct image_source *s, int *ret)
{
	uint16_t machine = EM_NONE;

	if (s->len >= offsetof(Elf64_Ehdr, e_version))
		machine = le16_get(s->data + offsetof(Elf64_Ehdr, e_machine));
	if (s->len > EI_DATA && s->data[EI_DATA] == ELFDATA2MSB)
		machine = (uint16_t)(machine << 8 | machine >> 8);
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		if (machines[i].e_machine == machine) {
			*ret = machines[i].arch;
			return machines[i].noun;
		}
	}
	*ret = IMAGE_FOR_OTHER;
	return "an ELF file for another machine";
}

static int
check_ehdr(const struct image_source *s, Elf64_Ehdr *eh, struct err *e)
{
	int arch;
	const char *noun = image_elf_noun(s, &arch);

	if (s->len < sizeof(*eh))
		return image_refuse(
			e,
			"is truncated: an ELF header has %zu bytes, the file has "
			"%zu",
			sizeof(*eh), s->len);
	if (arch != IMAGE_X86_64)
		return image_refuse(e, "is %s, this host is x86-64", noun);
	memcpy(eh, s->data, sizeof(*eh));
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB)
		return image_refuse(e, "is no 64-bit little-endian ELF file");
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return image_refuse(
			e, "is an ELF file, but no executable: an object or a module?");
	if (eh->e_phnum == 0 || eh->e_phnum > PHDRS_MAX ||
	    eh->e_phentsize != sizeof(Elf64_Phdr))
		return image_refuse(
			e,
			"is an ELF file with %u program headers of %u bytes: no "
			"kernel has that",
			eh->e_phnum, eh->e_phentsize);
	if (!range_ok(eh->e_phoff, (uint64_t)eh->e_phnum * sizeof(Elf64_Phdr), s->len))
		return image_refuse(
			e,
			"is truncated: its program headers lie behind the end of "
			"the file, which has %zu bytes",
			s->len);
	return 0;
}

static Elf64_Phdr
phdr_get(const struct image_source *s, const Elf64_Ehdr *eh, unsigned i)
{
	Elf64_Phdr ph;

	memcpy(&ph, s->data + eh->e_phoff + i * sizeof(ph), sizeof(ph));
	return ph;
}

static int
check_in_file(const struct image_source *s, const Elf64_Phdr *ph, struct err *e)
{
	uint64_t end;

	if (range_ok(ph->p_offset, ph->p_filesz, s->len))
		return 0;
	if (__builtin_add_overflow(ph->p_offset, ph->p_filesz, &end))
		return image_refuse(e, "has a program header that reaches beyond 2^64");
	return image_refuse(
		e, "is truncated: the header promises %llu bytes, the file has %zu",
		(unsigned long long)end, s->len);
}

static int
add_segment(const struct image_source *s, const Elf64_Phdr *ph, struct image *img,
	    struct err *e)
{
	if (ph->p_memsz == 0)
		return 0;
	int r = check_in_file(s, ph, e);
	if (r < 0)
		return r;
	if (ph->p_filesz > ph->p_memsz)
		return image_refuse(
			e, "has a segment with more bytes in the file than in memory");
	if (img->nsegment == IMAGE_SEGMENTS_MAX)
		return image_refuse(e, "has more than %d segments to load",
				    IMAGE_SEGMENTS_MAX);
	/* Below 1 MiB lie start info, command line and ACPI tables. */
	if (ph->p_paddr < X86_HIGH_RAM_GPA)
		return image_refuse(
			e,
			"has a segment at 0x%llx: below 1 MiB there is no place "
			"for it",
			(unsigned long long)ph->p_paddr);
	r = image_check_ram(s, ph->p_paddr, ph->p_memsz, e);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < img->nsegment; i++)
		if (ranges_overlap(img->segment[i].gpa, img->segment[i].mem_len,
				   ph->p_paddr, ph->p_memsz))
			return image_refuse(e, "has segments that overlap at 0x%llx",
					    (unsigned long long)ph->p_paddr);

	img->segment[img->nsegment++] = (struct image_segment){
		.gpa = ph->p_paddr,
		.off = ph->p_offset,
		.file_len = ph->p_filesz,
		.mem_len = ph->p_memsz,
	};
	if (img->end < ph->p_paddr + ph->p_memsz)
		img->end = ph->p_paddr + ph->p_memsz;
	return 0;
}

/*
 * The gABI pads name and descriptor to 4 bytes; 64-bit tools also write 8 and then
 * say so in p_align.
 */
static bool
find_entry(const uint8_t *p, uint64_t len, uint64_t align, unsigned *budget,
	   uint64_t *ret)
{
	align = align == 8 ? 8 : 4;
	for (; len >= sizeof(Elf64_Nhdr) && *budget > 0; (*budget)--) {
		Elf64_Nhdr nh;

		memcpy(&nh, p, sizeof(nh));
		/* 32-bit lengths: these sums cannot wrap. */
		uint64_t desc = align_up(sizeof(nh) + (uint64_t)nh.n_namesz, align);
		uint64_t next = align_up(desc + nh.n_descsz, align);

		if (desc + nh.n_descsz > len)
			break;
		if (nh.n_type == XEN_ELFNOTE_PHYS32_ENTRY && nh.n_namesz == 4 &&
		    memcmp(p + sizeof(nh), "Xen", 4) == 0) {
			/* Linux writes a word of the kernel's size, others 32 bits. */
			if (nh.n_descsz == 8)
				*ret = le64_get(p + desc);
			else if (nh.n_descsz == 4)
				*ret = le32_get(p + desc);
			else
				break;
			return true;
		}
		if (next > len)
			break;
		p += next;
		len -= next;
	}
	return false;
}

static int
check_entry(struct image *img, struct err *e)
{
	for (unsigned i = 0; i < img->nsegment; i++) {
		const struct image_segment *seg = &img->segment[i];

		if (img->entry - seg->gpa < seg->file_len && img->entry <= UINT32_MAX)
			return 0;
	}
	return image_refuse(e, "has a PVH entry at 0x%llx, where it loads nothing",
			    (unsigned long long)img->entry);
}

/* The file can be all notes, and 64 headers can all point at them: see NOTES_MAX. */
static int
parse_notes(const struct image_source *s, const Elf64_Ehdr *eh, struct image *img,
	    struct err *e)
{
	unsigned budget = NOTES_MAX;

	for (unsigned i = 0; i < eh->e_phnum; i++) {
		Elf64_Phdr ph = phdr_get(s, eh, i);

		if (ph.p_type != PT_NOTE)
			continue;
		int r = check_in_file(s, &ph, e);
		if (r < 0)
			return r;
		if (find_entry(s->data + ph.p_offset, ph.p_filesz, ph.p_align, &budget,
			       &img->entry))
			return 0;
	}
	return image_refuse(e, "is a raw vmlinux without a PVH note: build it with "
			       "CONFIG_PVH=y, or take the bzImage");
}

int
image_parse_elf(const struct image_source *s, struct image *img, struct err *e)
{
	Elf64_Ehdr eh = { 0 };
	int r = check_ehdr(s, &eh, e);

	/* The note first: what has none is no kernel, wherever its segments lie. */
	if (r == 0)
		r = parse_notes(s, &eh, img, e);
	for (unsigned i = 0; r == 0 && i < eh.e_phnum; i++) {
		Elf64_Phdr ph = phdr_get(s, &eh, i);

		if (ph.p_type == PT_LOAD)
			r = add_segment(s, &ph, img, e);
	}
	if (r < 0)
		return r;
	img->kind = IMAGE_ELF_PVH;
	img->initrd_max = UINT32_MAX;
	return check_entry(img, e);
}
