/* The filter of system calls, run by hand: what it says of a call and its arguments. */
#include "sandbox/callfilter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "check.h"

static struct sock_filter code[CALLFILTER_MAX];
static size_t length;

#if defined __x86_64__
enum { FOREIGN = AUDIT_ARCH_I386 };
static const uint32_t native = AUDIT_ARCH_X86_64;
#else
enum { FOREIGN = AUDIT_ARCH_ARM };
static const uint32_t native = AUDIT_ARCH_AARCH64;
#endif

/* As the kernel runs it, for the few instructions that are in it. */
static uint32_t run(const struct seccomp_data *data)
{
    uint32_t loaded = 0;

    for (size_t at = 0; at < length; at++) {
        const struct sock_filter *step = &code[at];
        int passed = step->code == (BPF_JMP | BPF_JEQ | BPF_K)    ? loaded == step->k
                     : step->code == (BPF_JMP | BPF_JGT | BPF_K)  ? loaded > step->k
                     : step->code == (BPF_JMP | BPF_JSET | BPF_K) ? (loaded & step->k) != 0
                                                                  : 0;
        if (step->code == (BPF_RET | BPF_K))
            return step->k;
        if (step->code == (BPF_LD | BPF_W | BPF_ABS))
            memcpy(&loaded, (const char *)data + step->k, sizeof loaded);
        else if (step->code == (BPF_ALU | BPF_AND | BPF_K))
            loaded &= step->k;
        else if (BPF_CLASS(step->code) == BPF_JMP)
            at += passed ? step->jt : step->jf;
        else
            CHECK(!"an instruction that no filter of ours has");
    }
    CHECK(!"the end of the program");
    return 0;
}

static uint32_t says(int call, uint64_t first, uint64_t second, uint64_t third)
{
    struct seccomp_data data = {.nr = call, .arch = native, .args = {first, second, third}};

    return run(&data);
}

enum {
    ALLOW = (int)SECCOMP_RET_ALLOW,
    REFUSE = (int)(SECCOMP_RET_ERRNO | EPERM),
    ABSENT = (int)(SECCOMP_RET_ERRNO | ENOSYS)
};
static const uint64_t above = 0x100000000;

static void calls_are_refused_whatever_their_arguments(void)
{
    static const int refused[] = {SYS_keyctl,
                                  SYS_add_key,
                                  SYS_bpf,
                                  SYS_ptrace,
                                  SYS_mount,
                                  SYS_unshare,
                                  SYS_setns,
                                  SYS_userfaultfd,
                                  SYS_process_vm_readv,
                                  SYS_kcmp,
                                  SYS_personality,
                                  SYS_name_to_handle_at,
                                  467 /* open_tree_attr */,
                                  469 /* file_setattr */};

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        CHECK(says(refused[i], i, above, ~0ULL) == REFUSE);
    CHECK(says(SYS_read, 0, 0, 0) == ALLOW);
    CHECK(says(SYS_execve, 0, 0, 0) == ALLOW);
}

static void what_programs_do_without_does_not_exist(void)
{
    CHECK(says(425 /* io_uring_setup */, 0, 0, 0) == ABSENT);
    CHECK(says(435 /* clone3 */, 0, 0, 0) == ABSENT);
    CHECK(says(470, 0, 0, 0) == ABSENT); /* newer than the list */
    CHECK(says(-1, 0, 0, 0) == ABSENT);
    CHECK(says(0x40000000 | SYS_read, 0, 0, 0) == ABSENT); /* x32 */
}

static void other_architectures_are_killed(void)
{
    struct seccomp_data data = {.nr = SYS_read, .arch = FOREIGN};

    CHECK(run(&data) == SECCOMP_RET_KILL_PROCESS);
}

static void arguments_are_compared_as_the_kernel_reads_them(void)
{
    static const struct {
        int call;
        uint64_t first, second;
        uint32_t result;
    } cases[] = {
        {SYS_clone, 0x11, 0, ALLOW},
        {SYS_clone, 0x10000000, 0, REFUSE},
        {SYS_clone, 0x110000011, 0, REFUSE},
        {SYS_fallocate, 0, 0, ALLOW},
        {SYS_fallocate, 0, 3, ALLOW}, /* punch a hole */
        {SYS_fallocate, 0, 1, SECCOMP_RET_ERRNO | EOPNOTSUPP},
        {SYS_fallocate, 0, 0x11, SECCOMP_RET_ERRNO | EOPNOTSUPP},
        {SYS_fallocate, 0, 0x41, SECCOMP_RET_ERRNO | EOPNOTSUPP},
        {SYS_fallocate, 0, 0x100000001, SECCOMP_RET_ERRNO | EOPNOTSUPP},
        {SYS_fcntl, 0, 1, ALLOW},
        {SYS_fcntl, 0, 1024, REFUSE},
        {SYS_fcntl, 0, 0x100000400, REFUSE},
        {SYS_fcntl, 0, 1026, REFUSE},
        {SYS_ioctl, 0, 0x5401, ALLOW},
        {SYS_ioctl, 0, 0x5412, REFUSE},
        {SYS_ioctl, 0, 0x4030582a, REFUSE},
        {SYS_ioctl, 0, 0x14030582a, REFUSE},
        {SYS_ioctl, 0, 0x401c5820, REFUSE},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(says(cases[i].call, cases[i].first, cases[i].second, 0) == cases[i].result);
}

static void sockets_are_of_four_families_and_few_protocols(void)
{
    static const uint64_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

    for (uint64_t family = 0; family < 64; family++) {
        uint32_t expected = REFUSE;
        for (size_t i = 0; i < 4; i++)
            if (families[i] == family)
                expected = ALLOW;
        CHECK(says(SYS_socket, family, SOCK_STREAM, 0) == expected);
        CHECK(says(SYS_socket, above | family, SOCK_STREAM, 0) == expected);
        CHECK(says(SYS_socketpair, family, SOCK_STREAM, 0) == expected);
    }
    CHECK(says(SYS_socket, AF_INET, SOCK_STREAM, 262 /* MPTCP */) == (SECCOMP_RET_ERRNO | EPROTONOSUPPORT));
    CHECK(says(SYS_socket, AF_INET, SOCK_STREAM, above | 132 /* SCTP */) == (SECCOMP_RET_ERRNO | EPROTONOSUPPORT));
    CHECK(says(SYS_socket, AF_NETLINK, SOCK_RAW, 12 /* netfilter */) == (SECCOMP_RET_ERRNO | EPROTONOSUPPORT));
    CHECK(says(SYS_socket, AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 17) == ALLOW);
}

static void others_of_the_same_user_are_out_of_reach_without_namespaces(int inside)
{
    uint32_t expected = inside ? ALLOW : REFUSE;

    CHECK(says(SYS_kill, (uint64_t)-1, 9, 0) == expected);
    CHECK(says(SYS_kill, above | 0xffffffff, 9, 0) == expected);
    CHECK(says(SYS_kill, 7, 9, 0) == ALLOW);
    CHECK(says(SYS_shmget, 1, 2, 3) == (inside ? (uint32_t)ALLOW : (uint32_t)ABSENT));
    CHECK(says(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) == expected);
    CHECK(says(SYS_socket, AF_UNIX, SOCK_DGRAM, 0) == expected);
    CHECK(says(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0) == ALLOW);
    CHECK(says(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0) == ALLOW);
    CHECK(says(SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0) == expected);
}

int main(void)
{
    for (int inside = 0; inside < 2; inside++) {
        length = callfilter_build(code, inside);
        CHECK(length < CALLFILTER_MAX);
        calls_are_refused_whatever_their_arguments();
        what_programs_do_without_does_not_exist();
        other_architectures_are_killed();
        arguments_are_compared_as_the_kernel_reads_them();
        if (inside)
            sockets_are_of_four_families_and_few_protocols();
        others_of_the_same_user_are_out_of_reach_without_namespaces(inside);
    }
    return 0;
}
