/* A binary heap of timers: see heap.h. */

#include "heap.h"
#include "plan.h"

#include <stdlib.h>

void heap_add(struct heap *heap, struct timer timer)
{
    if (heap->count == heap->room) {
        heap->room = heap->room ? heap->room * 2 : 4096;
        heap->timers = realloc(heap->timers, heap->room * sizeof *heap->timers);
        if (!heap->timers)
            give_up("no memory");
    }
    size_t place = heap->count++;
    while (place && heap->timers[(place - 1) / 2].due_ns > timer.due_ns) {
        heap->timers[place] = heap->timers[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    heap->timers[place] = timer;
}

void heap_drop_first(struct heap *heap)
{
    struct timer last = heap->timers[--heap->count];
    size_t place = 0;
    for (;;) {
        size_t below = place * 2 + 1;
        if (below >= heap->count)
            break;
        if (below + 1 < heap->count
            && heap->timers[below + 1].due_ns < heap->timers[below].due_ns)
            below++;
        if (heap->timers[below].due_ns >= last.due_ns)
            break;
        heap->timers[place] = heap->timers[below];
        place = below;
    }
    heap->timers[place] = last;
}

size_t heap_run(struct heap *heap, int64_t now)
{
    size_t fired = 0;
    while (heap_due(heap) <= now) {
        struct timer timer = heap->timers[0];
        heap_drop_first(heap);
        timer.fire(timer.what, timer.tag, timer.due_ns);
        fired++;
    }
    return fired;
}
