/* Switches between coroutines with a stack each, in one thread: there and back, as a loop resumes
 * one that suspends itself again. They hold nothing: caches are left out. */

#undef _FORTIFY_SOURCE /* its longjmp takes a jump to another stack for an error */
#define _GNU_SOURCE
#include <setjmp.h>
#include <ucontext.h>

#include "probe.h"

#define ROUND_TRIPS 200 /* in a sample */

static ucontext_t outside, inside;
static jmp_buf outside_place, inside_place;
static char stack[65536];

static void swap_back(void)
{
    for (;;)
        swapcontext(&inside, &outside);
}

static void enter(void (*program)(void))
{
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = sizeof stack;
    makecontext(&inside, program, 0);
    swapcontext(&outside, &inside);
}

/* There and back by swapcontext(3), which each time sets the signal mask by a syscall. */
PROBE(swapcontext_switch)
{
    enter(swap_back);
    MEASURE(figure("swapcontext_switch", NO_PARAM), ROUND_TRIPS,
            swapcontext(&outside, &inside));
}

static void jump_back(void)
{
    if (!_setjmp(inside_place))
        swapcontext(&inside, &outside);
    for (;;)
        if (!_setjmp(inside_place))
            _longjmp(outside_place, 1);
}

static __attribute__((noinline)) void jump_there_and_back(void)
{
    if (!_setjmp(outside_place))
        _longjmp(inside_place, 1);
}

/* There and back by _setjmp and _longjmp(3): no syscall. */
PROBE(longjmp_switch)
{
    enter(jump_back);
    MEASURE(figure("longjmp_switch", NO_PARAM), ROUND_TRIPS, jump_there_and_back());
}

#ifdef __x86_64__
static void *outside_stack, *inside_stack;

/* Save what a function call has to keep on this stack, and go on where the other one was left. */
void switch_stacks(void **save, void **resume);
__asm__(".globl switch_stacks\n"
        "switch_stacks:\n"
        "  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
        "  mov %rsp, (%rdi)\n"
        "  mov (%rsi), %rsp\n"
        "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
        "  ret\n");

static void switch_back(void)
{
    for (;;)
        switch_stacks(&inside_stack, &outside_stack);
}
#endif

/* There and back by a dozen instructions each: only the registers are kept. */
PROBE(assembly_switch)
{
#ifdef __x86_64__
    void **top = (void **)(stack + sizeof stack) - 2;
    *top = (void *)switch_back; /* where the first switch returns to, after six registers */
    inside_stack = top - 6;
    switch_stacks(&outside_stack, &inside_stack);
    MEASURE(figure("asm_coroutine_switch(x2)", NO_PARAM), ROUND_TRIPS,
            switch_stacks(&outside_stack, &inside_stack));
#else
    give_up("it is written for x86-64");
#endif
}
