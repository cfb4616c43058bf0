/* SPDX-License-Identifier: ISC */
/*
 * virtio: what all devices and all transports have in common (virtio 1.2, chapters
 * 2 and 3).
 *
 * Three parties meet in struct virtio_device.  The *type* is the model (rng, blk, net):
 * it sees queues, features and its configuration space, and knows no transport.  The
 * *transport* (PCI, MMIO) turns registers into the calls below and interrupts into
 * whatever it has.  Between them is one state machine, here: which status may follow
 * which, what may be negotiated, when a queue may be configured.
 *
 *  - A queue's configuration is frozen while it is enabled, and from DRIVER_OK on, for
 *    every transport; only the reset of that queue (VIRTIO_F_RING_RESET) or of the
 *    device thaws it.
 *  - A driver that breaks a rule never ends anything but its own device: the device
 *    stops looking at its queues, sets DEVICE_NEEDS_RESET and says so by a config
 *    interrupt.  Writing 0 to the status always recovers it.
 *  - What a type's stop() and queue_stop() leave behind cannot complete into guest
 *    memory any more.
 *
 * Reactor thread only.
 */
#ifndef VMM_VIRTIO_H
#define VMM_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"
#include "virtqueue.h"

struct memory;
struct msi_msg;
struct virtio_device;
struct virtio_doorbell_ops;
struct virtio_lent;
struct virtio_transport;

enum virtio_status {
	VIRTIO_STATUS_ACKNOWLEDGE = 1,
	VIRTIO_STATUS_DRIVER = 2,
	VIRTIO_STATUS_DRIVER_OK = 4,
	VIRTIO_STATUS_FEATURES_OK = 8,
	VIRTIO_STATUS_NEEDS_RESET = 64,
	VIRTIO_STATUS_FAILED = 128,
};

#define VIRTIO_F_ANY_LAYOUT (UINT64_C(1) << 27) /* legacy interface only */
#define VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1 (UINT64_C(1) << 32)
#define VIRTIO_F_RING_PACKED (UINT64_C(1) << 34)
#define VIRTIO_F_NOTIFICATION_DATA (UINT64_C(1) << 38)
#define VIRTIO_F_RING_RESET (UINT64_C(1) << 40)

/* What the core offers on behalf of every device. */
#define VIRTIO_F_CORE \
	(VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1 | \
	 VIRTIO_F_RING_RESET)

/* ---- device types ---- */

/* What --stats tells of a device beside virtio_device.stat: a uint64_t, at this offset
 * from the struct virtio_device, which is the first member of its model. */
struct virtio_counter {
	const char *name;
	size_t off; /* or VIRTIO_UNCOUNTED: shown as null */
};

#define VIRTIO_UNCOUNTED SIZE_MAX

/*
 * One const table of these is all that a type is to the rest.  Every call is on the
 * reactor, none may block for long, free the device, or reset it.  Those marked
 * "optional" may be NULL.
 */
struct virtio_type {
	const char *name;       /* "rng" */
	uint16_t id;            /* virtio 1.2, chapter 5 */
	uint16_t legacy_pci_id; /* 4.1.2; 0: there was no such device */
	uint32_t pci_class;     /* what PCI shows of it */
	/* Optional: ends with a row without a name. */
	const struct virtio_counter *counter;

	/* Optional: may the driver have this subset of what was offered? */
	bool (*features_ok)(struct virtio_device *dev, uint64_t features);
	/*
	 * Optional: the driver is ready; dev->features are settled and the enabled
	 * queues can be popped.  -errno makes the device need a reset; nothing was
	 * started then.
	 */
	int (*start)(struct virtio_device *dev);
	/*
	 * The opposite; called for every start().  Waits for what is in flight: on return
	 * no request can complete into guest memory or be pushed.
	 */
	void (*stop)(struct virtio_device *dev);
	/* Optional: a queue came (back) to life after start(). */
	void (*queue_start)(struct virtio_device *dev, unsigned queue);
	/* As stop(), for one queue. */
	void (*queue_stop)(struct virtio_device *dev, unsigned queue);
	/* The driver may have made something available; spurious calls are normal. */
	void (*queue_notify)(struct virtio_device *dev, unsigned queue);
	/*
	 * Optional, for who lends queues: the device came to need a reset, and takes them
	 * back.  It is not stopped yet.
	 */
	void (*failed)(struct virtio_device *dev);
	/*
	 * Optional: the driver wrote to the configuration space, within its length.
	 * What it may change, the type changes by virtio_config_put().
	 */
	void (*config_write)(struct virtio_device *dev, unsigned off, unsigned len,
			     uint32_t val);
	/* Optional: the driver reset the device, which is stopped. */
	void (*reset)(struct virtio_device *dev);
};

struct virtio_queue {
	struct virtqueue vq;
	struct virtqueue_layout at; /* as the driver set it; size 0: no valid size */
	uint16_t size_max;
	bool enabled;
	bool thawed;  /* was reset on its own since DRIVER_OK */
	bool lent;    /* somebody else serves it, */
	int kick;     /* and hears of doorbells by this */
	uint32_t pfn; /* legacy interface: page number, 0: disabled */
};

struct virtio_device {
	const struct virtio_type *type;
	const char *name;                     /* "rng0" */
	const struct virtio_counter *counter; /* the type's, unless it has others */
	const struct memory *mem;
	struct virtio_transport *transport;
	struct virtio_queue *queue; /* of the type, with size_max filled in */
	unsigned nqueue;
	uint8_t *config; /* as the driver reads it, of the type */
	unsigned config_len;
	uint64_t offered;
	uint64_t features; /* what the driver wrote; settled at FEATURES_OK */
	bool features_bad; /* it wrote bits that nobody has */
	uint8_t status;
	uint8_t generation; /* of config */
	bool live;          /* the type is started */
	bool legacy;        /* the driver uses the legacy interface */
	struct ratelimit log;
	struct {
		uint64_t notified;   /* doorbells, however they came */
		uint64_t interrupts; /* queue interrupts */
		uint64_t failures;   /* times the device came to need a reset */
		uint64_t lent;       /* times a queue was, */
		uint64_t reclaimed;  /* and was taken back */
		uint64_t forwarded;  /* interrupts of lent queues that we passed on */
	} stat;
};

/* For a type's constructor. All that it points to belongs to the type. */
struct virtio_desc {
	const struct virtio_type *type;
	const char *name;
	const struct memory *mem;
	uint64_t features;          /* the type's own; the core adds VIRTIO_F_CORE */
	struct virtio_queue *queue; /* each with its size_max, a power of two */
	unsigned nqueue;
	uint8_t *config;
	unsigned config_len;
};

void virtio_device_init(struct virtio_device *dev, const struct virtio_desc *desc);

/* ---- for types ---- */

/* Shows the driver what was pushed to the queue, with an interrupt if it wants one. */
void virtio_publish(struct virtio_device *dev, unsigned queue);

/*
 * Has somebody else serve an enabled queue from now on.  Doorbells go to him, as do his
 * interrupts to the driver, without the reactor where that is possible: what is pending,
 * masked or shared, the transport knows and looks after.  -ENOTSUP: the machine makes no
 * eventfds for this device; or -errno of eventfd(2).
 */
int virtio_queue_lend(struct virtio_device *dev, unsigned queue, struct virtio_lent *ret);

/*
 * He has stopped, before the entry next of the available ring, and every chain before it
 * is used.  Interrupts that are under way are delivered.
 */
void virtio_queue_reclaim(struct virtio_device *dev, unsigned queue, uint16_t next);

/*
 * The driver did what no driver may do: DEVICE_NEEDS_RESET.  The queues say -EPROTO
 * from now on and swallow what is pushed; stop() is called at the reset.
 */
void virtio_fail(struct virtio_device *dev, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Changes the configuration space; of the device's own accord, with an interrupt. */
void virtio_config_put(struct virtio_device *dev, unsigned off, const void *buf,
		       unsigned len);
void virtio_config_change(struct virtio_device *dev, unsigned off, const void *buf,
			  unsigned len);

static inline bool
virtio_has(const struct virtio_device *dev, uint64_t feature)
{
	return (dev->features & feature) != 0;
}

/* Nothing but a reset helps any more. */
static inline bool
virtio_is_dead(const struct virtio_device *dev)
{
	return dev->status & (VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED);
}

/* ---- for transports ---- */

struct virtio_transport_ops {
	void (*queue_interrupt)(struct virtio_transport *t, unsigned queue);
	void (*config_interrupt)(struct virtio_transport *t);
	/* Registers changed without the driver having written one. */
	void (*refresh)(struct virtio_transport *t);
	/* The driver is ready: doorbells may be registered now. */
	void (*live)(struct virtio_transport *t);
	/* Interrupts, vectors and selectors to their initial state. */
	void (*reset)(struct virtio_transport *t);
	void (*queue_reset)(struct virtio_transport *t, unsigned queue);
	/*
	 * The message that interrupts the driver for this queue; false: there is none, or it
	 * may not be sent now.  NULL: never.
	 */
	bool (*queue_message)(struct virtio_transport *t, unsigned queue,
			      struct msi_msg *ret);
};

struct virtio_transport {
	const struct virtio_transport_ops *ops;
	struct virtio_device *dev;
	/* Eventfds in place of exits and calls (virtio_transport.h); NULL: none. */
	const struct virtio_doorbell_ops *doorbell;
	void *doorbell_arg;
};

void virtio_connect(struct virtio_device *dev, struct virtio_transport *t,
		    const struct virtio_transport_ops *ops);

/*
 * The machine ends: on return nothing is in flight.  The driver is told nothing, and
 * doorbells are not to ring any more.
 */
void virtio_stop(struct virtio_device *dev);

/* Stops the device for good; the transport may be freed then. */
void virtio_disconnect(struct virtio_device *dev);

/* The driver touched a register of the legacy interface (until FEATURES_OK or reset). */
void virtio_use_legacy(struct virtio_device *dev);

/* Feature bits 32 * sel to 32 * sel + 31. */
uint32_t virtio_features_offered(const struct virtio_device *dev, uint32_t sel);
uint32_t virtio_features_accepted(const struct virtio_device *dev, uint32_t sel);
void virtio_features_accept(struct virtio_device *dev, uint32_t sel, uint32_t val);

/* A write to the device status; 0 resets. What is not legal has no effect. */
void virtio_set_status(struct virtio_device *dev, uint8_t val);
void virtio_reset(struct virtio_device *dev);

/* NULL: there is no such queue. */
struct virtio_queue *virtio_queue(struct virtio_device *dev, uint32_t sel);

enum virtio_area { VIRTIO_AREA_DESC, VIRTIO_AREA_DRIVER, VIRTIO_AREA_DEVICE };

/* Queue configuration.  No effect while it is frozen or on queues there are not. */
void virtio_queue_set_size(struct virtio_device *dev, uint32_t sel, uint32_t size);
void virtio_queue_set_addr(struct virtio_device *dev, uint32_t sel, enum virtio_area area,
			   bool high, uint32_t val);
void virtio_queue_enable(struct virtio_device *dev, uint32_t sel);
void virtio_queue_reset(struct virtio_device *dev, uint32_t sel); /* 2.6.1 */
/* MMIO only: QueueReady written as 0. The queue stays frozen. */
void virtio_queue_disable(struct virtio_device *dev, uint32_t sel);
/* Legacy interface (2.7.2): enables the queue, or disables it for pfn 0. */
void virtio_queue_set_pfn(struct virtio_device *dev, uint32_t sel, uint32_t pfn,
			  uint32_t page_len, uint32_t align);

/* A doorbell rang, by whatever way. */
void virtio_notify(struct virtio_device *dev, uint32_t sel);

/* Who serves a lent queue interrupts the driver, and it fell to us to pass it on. */
void virtio_forward(struct virtio_device *dev, unsigned queue);

/* Device-specific configuration space, of any length up to 8; bytes beyond read 0. */
uint64_t virtio_config_read(const struct virtio_device *dev, uint64_t off, unsigned len);
void virtio_config_write(struct virtio_device *dev, uint64_t off, unsigned len,
			 uint64_t val);

#endif
