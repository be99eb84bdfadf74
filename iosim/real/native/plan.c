/* The plan, the clock, cores and limits, and the lines for the parent: see plan.h. */

#define _GNU_SOURCE
#include "plan.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* No loop of `burn` takes so long: something else ran. */
#define GAP_NS 2000

/* ------------------------------------------------------------------------------ the plan */

static const struct {
    const char *name;
    size_t offset;
} numbers[] = {
#define NUMBER(name) {#name, offsetof(struct plan, name)},
    PLAN_NUMBERS(NUMBER)
#undef NUMBER
};

static char *copy(const char *text)
{
    char *found = strdup(text);
    if (!found)
        give_up("no memory");
    return found;
}

static void *one_more(void *list, int *count, size_t size, int most, const char *what)
{
    if (*count == most)
        give_up("plan.txt: more than %d of %s", most, what);
    return (char *)list + size * (size_t)(*count)++;
}

static void read_cpus(struct cpus *cpus, char *rest)
{
    cpus->count = 0;
    for (char *word = strtok(rest, " "); word && cpus->count < MOST_CPUS; word = strtok(NULL, " "))
        cpus->cpu[cpus->count++] = atoi(word);
}

static void read_step(struct plan *plan, char *rest, int *column)
{
    struct step *step =
        one_more(plan->steps, &plan->n_steps, sizeof *step, MOST_STEPS, "step");
    step->column = *column;
    if (sscanf(rest, "call %d %d", &step->device, &step->attempts) == 2) {
        step->kind = STEP_CALL;
        *column += step->attempts;
    } else {
        step->kind = strcmp(rest, "cpu") == 0 ? STEP_CPU : STEP_SLEEP;
        step->device = -1;
        *column += 1;
    }
}

static void read_device(struct plan *plan, const char *rest)
{
    struct device_plan *device =
        one_more(plan->devices, &plan->n_devices, sizeof *device, MOST_DEVICES, "device");
    char interface[32] = "";
    if (sscanf(rest, "%31s %d", interface, &device->concurrency) != 2)
        give_up("plan.txt: device %s", rest);
    device->blocking = strcmp(interface, "blocking") == 0;
}

static void read_option(struct plan *plan, char *rest)
{
    struct option *option =
        one_more(plan->options, &plan->n_options, sizeof *option, MOST_OPTIONS, "option");
    char *space = strchr(rest, ' ');
    option->value = copy(space ? space + 1 : "");
    if (space)
        *space = '\0';
    option->name = copy(rest);
}

static void read_line(struct plan *plan, char *line, int *column)
{
    char *rest = strchr(line, ' ');
    if (rest)
        *rest++ = '\0';
    else
        rest = line + strlen(line);
    if (strcmp(line, "model") == 0)
        plan->model = copy(rest);
    else if (strcmp(line, "runtime") == 0)
        plan->runtime = copy(rest);
    else if (strcmp(line, "arrivals") == 0)
        plan->arrivals = copy(rest);
    else if (strcmp(line, "server_cpus") == 0)
        read_cpus(&plan->server_cpus, rest);
    else if (strcmp(line, "client_cpus") == 0)
        read_cpus(&plan->client_cpus, rest);
    else if (strcmp(line, "step") == 0)
        read_step(plan, rest, column);
    else if (strcmp(line, "device") == 0)
        read_device(plan, rest);
    else if (strcmp(line, "option") == 0)
        read_option(plan, rest);
    else {
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            if (strcmp(line, numbers[i].name) == 0) {
                *(int64_t *)((char *)plan + numbers[i].offset) = strtoll(rest, NULL, 10);
                return;
            }
        give_up("plan.txt: unknown word %s", line);
    }
}

/* The integers of a file, which must be `count` at least; NULL if there is none to be. */
static const int64_t *map_table(const char *folder, const char *name, int64_t count)
{
    char path[4096];
    struct stat found;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (count == 0)
        return NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) < 0)
        give_up("%s: %s", path, strerror(errno));
    if (found.st_size / 8 < count)
        give_up("%s: too short", path);
    /* Populated: no page fault is to come while the load runs. */
    void *table = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (table == MAP_FAILED)
        give_up("%s: %s", path, strerror(errno));
    close(fd);
    return table;
}

struct plan *read_plan(const char *folder)
{
    struct plan *plan = allocate(1, sizeof *plan);
    char path[4096], *line = NULL;
    size_t room = 0;
    ssize_t length;
    snprintf(path, sizeof path, "%s/plan.txt", folder);
    FILE *file = fopen(path, "re");
    if (!file)
        give_up("%s: %s", path, strerror(errno));
    int column = FIXED_COLUMNS;
    while ((length = getline(&line, &room, file)) > 0) {
        if (line[length - 1] == '\n')
            line[length - 1] = '\0';
        read_line(plan, line, &column);
    }
    free(line);
    fclose(file);
    if (!plan->model || !plan->arrivals)
        give_up("%s: no model or no arrivals", path);
    for (int i = 0; i < plan->n_steps; i++)
        if (plan->steps[i].kind == STEP_CALL
            && (plan->steps[i].device < 0 || plan->steps[i].device >= plan->n_devices))
            give_up("%s: step %d calls no device", path, i);
    bool items = strcmp(plan->arrivals, "items") == 0;
    if (!items && plan->columns < column)
        give_up("%s: %d columns are needed", path, column);
    plan->requests = map_table(folder, "requests", plan->rows * plan->columns);
    if (strcmp(plan->arrivals, "users") == 0)
        plan->think = map_table(folder, "think", plan->users * THINK_TIMES);
    return plan;
}

const char *option_text(const struct plan *plan, const char *name, const char *otherwise)
{
    for (int i = 0; i < plan->n_options; i++)
        if (strcmp(plan->options[i].name, name) == 0)
            return strcmp(plan->options[i].value, "-") == 0 ? otherwise : plan->options[i].value;
    return otherwise;
}

int64_t option_number(const struct plan *plan, const char *name, int64_t otherwise)
{
    const char *text = option_text(plan, name, NULL);
    return text ? strtoll(text, NULL, 10) : otherwise;
}

/* ---------------------------------------------------------------------------- the process */

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void burn(int64_t ns)
{
    int64_t last = now_ns(), until = last + ns;
    while (last < until) {
        int64_t now = now_ns();
        if (now - last > GAP_NS)
            until += now - last;
        last = now;
    }
}

void settle_in(const struct cpus *cpus, int64_t limit_s)
{
    cpu_set_t allowed, wanted, both;
    sched_getaffinity(0, sizeof allowed, &allowed);
    CPU_ZERO(&wanted);
    for (int i = 0; i < cpus->count; i++)
        CPU_SET((size_t)cpus->cpu[i], &wanted);
    CPU_AND(&both, &wanted, &allowed);
    if (sched_setaffinity(0, sizeof both, CPU_COUNT(&both) ? &both : &wanted) < 0)
        give_up("sched_setaffinity: %s", strerror(errno));
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is the parent's, who then ends us */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, SIG_DFL);
    alarm((unsigned)limit_s);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static void say_all(const char *prefix, const char *format, va_list values)
{
    char text[2048];
    int length = snprintf(text, sizeof text, "%s", prefix);
    length += vsnprintf(text + length, sizeof text - 1 - (size_t)length, format, values);
    if ((size_t)length > sizeof text - 2)
        length = sizeof text - 2;
    text[length++] = '\n';
    if (write(1, text, (size_t)length) < 0)
        _exit(2); /* nobody listens any more */
}

void say(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    say_all("", format, values);
    va_end(values);
}

void give_up(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    say_all("error ", format, values);
    va_end(values);
    _exit(2);
}

bool read_lines(struct lines *lines, void (*on_line)(const char *line, void *what), void *what)
{
    ssize_t got = read(0, lines->text + lines->used, sizeof lines->text - 1 - lines->used);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    if (got == 0)
        return false;
    lines->used += (size_t)got;
    char *end;
    while ((end = memchr(lines->text, '\n', lines->used))) {
        *end = '\0';
        on_line(lines->text, what);
        lines->used -= (size_t)(end + 1 - lines->text);
        memmove(lines->text, end + 1, lines->used);
    }
    return lines->used < sizeof lines->text - 1;
}

void *allocate(size_t count, size_t size)
{
    void *found = calloc(count ? count : 1, size);
    if (!found)
        give_up("no memory");
    return found;
}
