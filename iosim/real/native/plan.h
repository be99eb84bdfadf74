/* What the server and the load have in common: the plan, the clock, cores and limits, the wire
 * and the lines for the parent. The words are those of iosim/real/plan.py and
 * iosim/real/__init__.py, which say what each number means. */

#ifndef IOSIM_PLAN_H
#define IOSIM_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ------------------------------------------------------------------------------ the plan */

#define MOST_STEPS 64
#define MOST_DEVICES 64
#define MOST_OPTIONS 64
#define MOST_CPUS 1024
#define THINK_TIMES 256

enum { INTENDED_NS, CLIENT, REQUEST_BYTES, REPLY_BYTES, FIXED_COLUMNS };

#define NO_SUCH_STEP (-2) /* in the columns of a step: of another class; even, so it does not fail */

enum step_kind { STEP_CPU, STEP_CALL, STEP_SLEEP };

struct step {
    enum step_kind kind;
    int device, attempts; /* of a call */
    int column;           /* the first of a row's columns that is its */
};

struct device_plan {
    bool blocking;
    int concurrency; /* 0: no limit */
};

struct option {
    char *name, *value;
};

struct cpus {
    int count;
    int cpu[MOST_CPUS];
};

#define PLAN_NUMBERS(X)                                                                       \
    X(duration_ns) X(warm_up_ns) X(limit_s) X(rows) X(columns) X(request_bytes)               \
    X(reply_bytes) X(connections) X(users) X(lifetime) X(pipeline) X(slow) X(piece_bytes)     \
    X(gap_ns) X(receive_bytes_per_s) X(timeout_ns) X(close_on_timeout) X(retries)             \
    X(backoff_ns) X(waiting) X(backlog) X(send_buffer_bytes) X(own_work_chunk_ns) X(cancel)   \
    X(producers) X(consumers) X(capacity) X(spin)

struct plan {
    char *model, *runtime, *arrivals;
    struct cpus server_cpus, client_cpus;
#define NUMBER(name) int64_t name;
    PLAN_NUMBERS(NUMBER)
#undef NUMBER
    int n_options, n_steps, n_devices;
    struct option options[MOST_OPTIONS];
    struct step steps[MOST_STEPS];
    struct device_plan devices[MOST_DEVICES];
    const int64_t *requests; /* rows x columns */
    const int64_t *think;    /* users x THINK_TIMES, of users */
};

/* The plan in `folder`; gives up if it cannot be read. */
struct plan *read_plan(const char *folder);

static inline const int64_t *plan_row(const struct plan *plan, uint32_t row)
{
    return plan->requests + (int64_t)row * plan->columns;
}

/* A model's option; `otherwise` if the plan does not have it or says none (-). */
const char *option_text(const struct plan *plan, const char *name, const char *otherwise);
int64_t option_number(const struct plan *plan, const char *name, int64_t otherwise);

/* ------------------------------------------------------------------------------ the wire */

struct header {
    uint32_t row;
    uint32_t size; /* of the message, header included; in an answer FAILED may be set */
};

#define FAILED (1u << 31)
#define MOST_BYTES (1u << 30)
#define REQUEST_FILL 'q'
#define REPLY_FILL 'r'

struct query {
    uint32_t row;
    uint16_t device, failed;
    int64_t service_ns;
};

#define QUERY_BYTES 128

_Static_assert(sizeof(struct header) == 8 && sizeof(struct query) == 16, "as in plan.py");

/* Of a call's column: service_ns * 2 + (1 if it fails). */
static inline int64_t attempt_ns(int64_t column) { return column >> 1; }
static inline bool attempt_fails(int64_t column) { return column & 1; }

/* ---------------------------------------------------------------------------- the process */

/* CLOCK_MONOTONIC. */
int64_t now_ns(void);

/* Compute for `ns` of this thread's own time; see iosim/real/__init__.py. */
void burn(int64_t ns);

/* Run on `cpus`, with as many descriptors as allowed; end with the parent, or when late. */
void settle_in(const struct cpus *cpus, int64_t limit_s);

/* A line for the parent. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Say `error ...` and end with exit code 2. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What has been read of the parent's lines. */
struct lines {
    char text[256];
    size_t used;
};

/* Read(2) once from stdin and call `on_line` with each line that is whole; false: it is closed. */
bool read_lines(struct lines *lines, void (*on_line)(const char *line, void *what), void *what);

/* Memory, zeroed; gives up if there is none. */
void *allocate(size_t count, size_t size);

#endif
