/* SPDX-License-Identifier: ISC */
#ifndef VMM_PCI_INTERNAL_H
#define VMM_PCI_INTERNAL_H

struct pci_function;

/* pci_bus.c: the command register or a BAR was written. */
void pci_update_bars(struct pci_function *fn);

/* pci_bus.c: writes into the BARs where pci_attach() put them. */
void pci_place_bars(struct pci_function *fn);

#endif
