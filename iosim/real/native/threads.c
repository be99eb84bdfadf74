/* The pipeline as threads: a bounded buffer, a mutex, two condition variables. The twin of
 * iosim/io_models/threads.py; a deadlock is found by a watchdog, which names the cycle. */

#include <stdio.h>
#include <string.h>

#include "items.h"

ITEMS_MODEL("threads")

struct thread {
    char name[32];
    struct server *server;
    struct mutex *waits_for; /* which it is about to lock */
};

/* A lock that can be asked who holds it. */
struct mutex {
    const char *name;
    pthread_mutex_t mutex;
    struct thread *holder;
};

/* The bounded buffer and its locks. */
static struct {
    struct item **items;
    int64_t first, count;
    struct mutex mutex;
    pthread_cond_t not_full, not_empty;
    struct mutex statistics;
    int64_t counted;
    bool ordered, misordered;
} buffer = {.mutex = {.name = "buffer lock", .mutex = PTHREAD_MUTEX_INITIALIZER},
            .not_full = PTHREAD_COND_INITIALIZER,
            .not_empty = PTHREAD_COND_INITIALIZER,
            .statistics = {.name = "statistics lock", .mutex = PTHREAD_MUTEX_INITIALIZER}};

static struct thread *threads;
static int64_t n_threads;

static void acquire(struct thread *thread, struct mutex *mutex)
{
    __atomic_store_n(&thread->waits_for, mutex, __ATOMIC_RELAXED);
    pthread_mutex_lock(&mutex->mutex);
    __atomic_store_n(&thread->waits_for, NULL, __ATOMIC_RELAXED);
    __atomic_store_n(&mutex->holder, thread, __ATOMIC_RELAXED);
}

static void give_back(struct mutex *mutex)
{
    __atomic_store_n(&mutex->holder, NULL, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&mutex->mutex);
}

static void wait_until(struct thread *thread, pthread_cond_t *condition, struct mutex *mutex)
{
    __atomic_store_n(&mutex->holder, NULL, __ATOMIC_RELAXED);
    pthread_cond_wait(condition, &mutex->mutex);
    __atomic_store_n(&mutex->holder, thread, __ATOMIC_RELAXED);
}

/* Count an item under the statistics' own lock. */
static void count(struct thread *thread)
{
    acquire(thread, &buffer.statistics);
    buffer.counted++;
    give_back(&buffer.statistics);
}

/* Make items and put them in the buffer. */
static void produce(void *argument)
{
    struct thread *thread = argument;
    struct server *server = thread->server;
    int64_t capacity = server->plan->capacity;
    struct item *item;
    while ((item = next_item(server))) {
        burn(item->produce_ns);
        acquire(thread, &buffer.mutex);
        while (buffer.count >= capacity)
            wait_until(thread, &buffer.not_full, &buffer.mutex);
        if (buffer.ordered || buffer.misordered)
            count(thread);
        buffer.items[(buffer.first + buffer.count++) % capacity] = item;
        made(item);
        pthread_cond_signal(&buffer.not_empty);
        give_back(&buffer.mutex);
    }
}

/* Take items from the buffer and use them, for ever. */
static void consume(void *argument)
{
    struct thread *thread = argument;
    struct server *server = thread->server;
    for (;;) {
        if (buffer.misordered)
            acquire(thread, &buffer.statistics);
        acquire(thread, &buffer.mutex);
        while (!buffer.count) {
            if (buffer.misordered) /* or nobody could ever count an item into the buffer */
                give_back(&buffer.statistics);
            wait_until(thread, &buffer.not_empty, &buffer.mutex);
            if (buffer.misordered) {
                give_back(&buffer.mutex);
                acquire(thread, &buffer.statistics);
                acquire(thread, &buffer.mutex);
            }
        }
        if (buffer.ordered)
            count(thread);
        struct item *item = buffer.items[buffer.first];
        buffer.first = (buffer.first + 1) % server->plan->capacity;
        buffer.count--;
        taken();
        pthread_cond_signal(&buffer.not_full);
        give_back(&buffer.mutex);
        if (buffer.misordered)
            give_back(&buffer.statistics);
        burn(item->consume_ns);
        used(server, item);
    }
}

/* Who holds what `thread` waits for. */
static struct thread *holder_for(struct thread *thread)
{
    struct mutex *mutex = __atomic_load_n(&thread->waits_for, __ATOMIC_RELAXED);
    return mutex ? __atomic_load_n(&mutex->holder, __ATOMIC_RELAXED) : NULL;
}

/* A cycle of threads, each of which waits for what the next one holds; found twice in a row, with
 * nothing done in between: threads look at the locks one after the other. */
static bool look(char *text, size_t size)
{
    static struct thread *before;
    static int64_t counted_before;
    struct thread *found = NULL;
    for (int64_t i = 0; i < n_threads && !found; i++) {
        struct thread *thread = holder_for(&threads[i]);
        for (int64_t steps = 1; thread && thread != &threads[i] && steps < n_threads; steps++)
            thread = holder_for(thread);
        if (thread == &threads[i])
            found = thread;
    }
    bool still = found && found == before && buffer.counted == counted_before;
    before = found;
    counted_before = buffer.counted;
    if (!still)
        return false;
    struct thread *last = found, *thread = found;
    while (holder_for(last) != found)
        last = holder_for(last);
    size_t length = 0;
    do {
        struct thread *holder = holder_for(thread);
        length += (size_t)snprintf(text + length, size - length, "%s%s holds %s, waits for %s (held by %s)",
                                 thread == found ? "" : "; ", thread->name, last->waits_for->name,
                                 thread->waits_for->name, holder->name);
        last = thread;
        thread = holder;
    } while (thread != found && length < size);
    return true;
}

/* Start all producers and consumers. */
static void run(struct server *server)
{
    const struct plan *plan = server->plan;
    buffer.items = allocate((size_t)plan->capacity, sizeof *buffer.items);
    buffer.ordered = option_is(plan, "second_lock", "ordered");
    buffer.misordered = option_is(plan, "second_lock", "misordered");
    n_threads = plan->producers + plan->consumers;
    threads = allocate((size_t)n_threads, sizeof *threads);
    if (buffer.misordered)
        watch_for_deadlock(look);
    for (int64_t i = 0; i < n_threads; i++) {
        bool produces = i < plan->producers;
        threads[i].server = server;
        snprintf(threads[i].name, sizeof threads[i].name, "%s %d", produces ? "producer" : "consumer",
                 (int)(produces ? i : i - plan->producers));
        spawn(produces ? produce : consume, &threads[i]);
    }
}
