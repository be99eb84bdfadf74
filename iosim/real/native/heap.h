/* What is to happen when: calls in the order of their times. */

#ifndef IOSIM_HEAP_H
#define IOSIM_HEAP_H

#include <stddef.h>
#include <stdint.h>

#define NEVER INT64_MAX

struct timer {
    int64_t due_ns;
    void (*fire)(void *what, uint32_t tag, int64_t due_ns);
    void *what;
    uint32_t tag; /* of what: it may have become something else meanwhile */
};

/* A binary heap; all zero, it is empty. */
struct heap {
    struct timer *timers;
    size_t count, room;
};

void heap_add(struct heap *heap, struct timer timer);
void heap_drop_first(struct heap *heap);

/* The earliest time, or NEVER. */
static inline int64_t heap_due(const struct heap *heap)
{
    return heap->count ? heap->timers[0].due_ns : NEVER;
}

/* Fire what is due at `now`; how many those were. */
size_t heap_run(struct heap *heap, int64_t now);

#endif
