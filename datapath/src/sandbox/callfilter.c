#include "sandbox/callfilter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
static const uint32_t native = AUDIT_ARCH_X86_64;
#elif defined __aarch64__
static const uint32_t native = AUDIT_ARCH_AARCH64;
#else
static const uint32_t native = 0; /* calls that are special there are not known */
#endif

enum { LOW = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0, NR = offsetof(struct seccomp_data, nr) };

/* From here on numbers are the same on all architectures, and headers may not have them yet. */
enum {
    IO_URING_SETUP = 425,
    IO_URING_ENTER = 426,
    IO_URING_REGISTER = 427,
    OPEN_TREE = 428,
    MOVE_MOUNT = 429,
    FSOPEN = 430,
    FSCONFIG = 431,
    FSMOUNT = 432,
    FSPICK = 433,
    CLONE3 = 435,
    PIDFD_GETFD = 438,
    PROCESS_MADVISE = 440,
    MOUNT_SETATTR = 442,
    QUOTACTL_FD = 443,
    MEMFD_SECRET = 447,
    PROCESS_MRELEASE = 448,
    SET_MEMPOLICY_HOME_NODE = 450,
    STATMOUNT = 457,
    LISTMOUNT = 458,
    LSM_SET_SELF_ATTR = 460,
    OPEN_TREE_ATTR = 467,
    FILE_SETATTR = 469,
    LAST_KNOWN = FILE_SETATTR
};

static const uint32_t denied[] = {
    /* the machine: its clock, swap, accounting, modules, programs in the kernel */
    SYS_acct,
    SYS_bpf,
    SYS_clock_adjtime,
    SYS_clock_settime,
    SYS_delete_module,
    SYS_finit_module,
    SYS_init_module,
    SYS_kexec_file_load,
    SYS_kexec_load,
    SYS_perf_event_open,
    SYS_quotactl,
    QUOTACTL_FD,
    SYS_reboot,
    SYS_setdomainname,
    SYS_sethostname,
    SYS_settimeofday,
    SYS_swapoff,
    SYS_swapon,
    SYS_syslog,
    SYS_vhangup,
    /* keys of the user and the session */
    SYS_add_key,
    SYS_keyctl,
    SYS_request_key,
    /* mounts and namespaces; files by a handle, past every directory's mode; attributes such as project ids */
    FSCONFIG,
    FSMOUNT,
    FSOPEN,
    FSPICK,
    LISTMOUNT,
    SYS_mount,
    MOUNT_SETATTR,
    MOVE_MOUNT,
    OPEN_TREE,
    OPEN_TREE_ATTR,
    SYS_pivot_root,
    SYS_setns,
    STATMOUNT,
    SYS_umount2,
    SYS_unshare,
    SYS_fanotify_init,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    FILE_SETATTR,
    /* other processes */
    SYS_kcmp,
    PIDFD_GETFD,
    PROCESS_MADVISE,
    PROCESS_MRELEASE,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_ptrace,
    /* memory: page faults answered by a program, places of pages, pages hidden from the kernel; old personalities */
    SYS_userfaultfd,
    SYS_get_mempolicy,
    SYS_mbind,
    SYS_migrate_pages,
    SYS_move_pages,
    SYS_set_mempolicy,
    SET_MEMPOLICY_HOME_NODE,
    MEMFD_SECRET,
    SYS_personality,
    LSM_SET_SELF_ATTR,
#ifdef __x86_64__
    SYS_ioperm,
    SYS_iopl,
    SYS_modify_ldt,
    SYS_sysfs,
    SYS_uselib,
    SYS_ustat,
#endif
};

static const uint32_t missing[] = {CLONE3, IO_URING_ENTER, IO_URING_REGISTER, IO_URING_SETUP};
static const uint32_t missing_outside[] = {SYS_mq_open, SYS_msgget, SYS_semget, SYS_shmget};

/* Refused if the argument, in the bits that the kernel reads, has `value` under `mask`; any bit of it if `any`. */
struct rule {
    uint32_t call, argument, mask, value, error;
    int any;
};

enum { ALL = 0xffffffff };
#define COMMAND(call, number) {call, 1, ALL, number, EPERM, 0}

static const struct rule rules[] = {
    /* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
    {SYS_clone, 0, 0x7e020000, 0, EPERM, 1},
    /* KEEP_SIZE without PUNCH_HOLE: blocks beyond the end, where no limit on a file's size counts them. */
    {SYS_fallocate, 1, 3, 1, EOPNOTSUPP, 0},
    /* A lease delays the next process that opens the file; F_SETLEASE, F_NOTIFY. */
    COMMAND(SYS_fcntl, 1024),
    COMMAND(SYS_fcntl, 1026),
    /* FS_IOC_RESVSP, UNRESVSP, RESVSP64, UNRESVSP64, ZERO_RANGE, XFS_IOC_ALLOCSP, FREESP and their 64: as fallocate */
    COMMAND(SYS_ioctl, 0x40305828),
    COMMAND(SYS_ioctl, 0x40305829),
    COMMAND(SYS_ioctl, 0x4030582a),
    COMMAND(SYS_ioctl, 0x4030582b),
    COMMAND(SYS_ioctl, 0x40305839),
    COMMAND(SYS_ioctl, 0x4030580a),
    COMMAND(SYS_ioctl, 0x4030580b),
    COMMAND(SYS_ioctl, 0x40305824),
    COMMAND(SYS_ioctl, 0x40305825),
    /* FS_IOC_FSSETXATTR (project ids, extents beyond the end), ENABLE_VERITY, SET_ENCRYPTION_POLICY: irreversible */
    COMMAND(SYS_ioctl, 0x401c5820),
    COMMAND(SYS_ioctl, 0x40806685),
    COMMAND(SYS_ioctl, 0x800c6613),
    /* TIOCSTI and TIOCLINUX type into a terminal, TIOCSETD loads a line discipline */
    COMMAND(SYS_ioctl, 0x5412),
    COMMAND(SYS_ioctl, 0x541c),
    COMMAND(SYS_ioctl, 0x5423),
};

static const struct rule kill_all = {SYS_kill, 0, ALL, ALL, EPERM, 0};

/* The protocols of sockets, by family. Of netlink only what resolvers need: routes and addresses. */
static const struct {
    uint32_t family, protocols[4];
} spoken[] = {
    {AF_UNIX, {0, PF_UNIX, 0, 0}}, {AF_INET, {0, 1, 6, 17}}, {AF_INET6, {0, 6, 17, 58}}, {AF_NETLINK, {0, 0, 0, 0}}};

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct program {
    struct sock_filter *code;
    size_t count;
};

static void emit(struct program *program, uint16_t operation, uint32_t value, uint8_t if_true, uint8_t if_false)
{
    program->code[program->count++] = (struct sock_filter)BPF_JUMP(operation, value, if_true, if_false);
}

static void load(struct program *program, size_t offset)
{
    emit(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* Load the lower half of an argument, which is all that the kernel reads. */
static void load_argument(struct program *program, uint32_t argument)
{
    load(program, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t) + LOW);
}

static void end_with(struct program *program, uint32_t result)
{
    emit(program, BPF_RET | BPF_K, result, 0, 0);
}

/* Execute the next instruction only if the loaded value passes the test. */
static void when(struct program *program, uint16_t test, uint32_t value)
{
    emit(program, BPF_JMP | test | BPF_K, value, 0, 1);
}

/* Begin a block that is skipped unless the value is loaded; the result is for the block's end. */
static size_t begin(struct program *program, uint32_t value)
{
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 0);
    return program->count - 1;
}

static void end(struct program *program, size_t begun)
{
    program->code[begun].jf = (uint8_t)(program->count - begun - 1);
}

static void refuse(struct program *program, const uint32_t *calls, size_t count, uint32_t error)
{
    for (size_t i = 0; i < count; i++) {
        when(program, BPF_JEQ, calls[i]);
        end_with(program, SECCOMP_RET_ERRNO | error);
    }
}

static void refuse_argument(struct program *program, const struct rule *rule)
{
    size_t begun = begin(program, rule->call);

    load_argument(program, rule->argument);
    if (!rule->any)
        emit(program, BPF_ALU | BPF_AND | BPF_K, rule->mask, 0, 0);
    when(program, rule->any ? BPF_JSET : BPF_JEQ, rule->any ? rule->mask : rule->value);
    end_with(program, SECCOMP_RET_ERRNO | rule->error);
    load(program, NR);
    end(program, begun);
}

/* Refuse unix sockets in instances without namespaces, except the agent's kind and connected pairs. */
static void refuse_types(struct program *program, uint32_t call)
{
    load_argument(program, 1);
    emit(program, BPF_ALU | BPF_AND | BPF_K, 0xf, 0, 0); /* the bits above are flags */
    if (call == SYS_socket)
        emit(program, BPF_JMP | BPF_JEQ | BPF_K, SOCK_SEQPACKET, 1, 0);
    else
        when(program, BPF_JEQ, SOCK_DGRAM);
    end_with(program, SECCOMP_RET_ERRNO | EPERM);
}

static void limit_sockets(struct program *program, uint32_t call, int inside)
{
    size_t begun = begin(program, call);

    load_argument(program, 0);
    for (size_t i = 0; i < COUNT(spoken); i++) {
        size_t family = begin(program, spoken[i].family);
        if (spoken[i].family == AF_UNIX && !inside)
            refuse_types(program, call);
        load_argument(program, 2);
        for (size_t p = 0; p < COUNT(spoken[i].protocols); p++) {
            when(program, BPF_JEQ, spoken[i].protocols[p]);
            end_with(program, SECCOMP_RET_ALLOW);
        }
        end_with(program, SECCOMP_RET_ERRNO | EPROTONOSUPPORT);
        end(program, family);
    }
    end_with(program, SECCOMP_RET_ERRNO | EPERM);
    end(program, begun);
}

size_t callfilter_build(struct sock_filter code[CALLFILTER_MAX], int inside)
{
    struct program program = {.code = code};

    load(&program, offsetof(struct seccomp_data, arch));
    emit(&program, BPF_JMP | BPF_JEQ | BPF_K, native, 1, 0);
    end_with(&program, SECCOMP_RET_KILL_PROCESS);
    load(&program, NR);
    when(&program, BPF_JGT, LAST_KNOWN);
    end_with(&program, SECCOMP_RET_ERRNO | ENOSYS);
    refuse(&program, denied, COUNT(denied), EPERM);
    refuse(&program, missing, COUNT(missing), ENOSYS);
    for (size_t i = 0; i < COUNT(rules); i++)
        refuse_argument(&program, &rules[i]);
    limit_sockets(&program, SYS_socket, inside);
    limit_sockets(&program, SYS_socketpair, inside);
    if (!inside) {
        refuse(&program, missing_outside, COUNT(missing_outside), ENOSYS);
        refuse_argument(&program, &kill_all);
    }
    end_with(&program, SECCOMP_RET_ALLOW);
    return program.count;
}

int callfilter_install(int inside, struct reason *why)
{
    static struct sock_filter code[CALLFILTER_MAX];
    struct sock_fprog program = {.len = (unsigned short)callfilter_build(code, inside), .filter = code};
    unsigned flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW; /* without it older kernels make every task slower */

    if (!native)
        return 0;
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        return 1;
    return errno == ENOSYS || errno == EINVAL ? 0 : reason_errno(why, "filtering system calls");
}
