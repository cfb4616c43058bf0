// SPDX-License-Identifier: ISC
/* What all transports have in common: virtio 1.2, section 3.1. */
#include "virtio.h"
#include "virtio_transport.h"

bool
virtio_find(const char *transport, uint32_t type, unsigned n, struct virtio *ret)
{
	static bool (*const find[])(const char *, uint32_t, unsigned, struct virtio *) = {
		virtio_pci_find,
		virtio_legacy_find,
		virtio_mmio_find,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(find); i++)
		if (find[i](transport, type, n, ret))
			return true;
	return false;
}

uint8_t
virtio_status(const struct virtio *v)
{
	return v->ops->status(v);
}

void
virtio_reset(struct virtio *v)
{
	v->ops->set_status(v, 0);
	while (v->ops->status(v))
		cpu_relax();
}

bool
virtio_start(struct virtio *v, uint64_t wanted)
{
	uint8_t status = VIRTIO_ACKNOWLEDGE;

	virtio_reset(v);
	v->ops->set_status(v, status);
	status |= VIRTIO_DRIVER;
	v->ops->set_status(v, status);
	v->features = v->ops->features(v, 0) & wanted;
	if (v->ops->legacy) {
		v->ops->set_features(v, 0, (uint32_t)v->features);
		return true;
	}
	v->features |=
		(uint64_t)v->ops->features(v, 1) << 32 & (wanted | VIRTIO_F_VERSION_1);
	v->ops->set_features(v, 0, (uint32_t)v->features);
	v->ops->set_features(v, 1, (uint32_t)(v->features >> 32));
	status |= VIRTIO_FEATURES_OK;
	v->ops->set_status(v, status);
	return v->ops->status(v) & VIRTIO_FEATURES_OK;
}

void
virtio_ready(struct virtio *v)
{
	v->ops->set_status(v, v->ops->status(v) | VIRTIO_DRIVER_OK);
}
