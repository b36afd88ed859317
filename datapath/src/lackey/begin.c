#include <errno.h>

#include "lackey/environment.h"
#include "lackey/lackey.h"

pid_t lackey_run_script(const struct lackey *lackey, uint32_t slot, char **variables, const int fds[3])
{
    const char *script = lackey->scripts[slot];
    const struct plain *plain = &lackey->plain[slot];

    if (!script) {
        errno = EINVAL;
        return -1;
    }
    int direct = plain->words[0] && lackey->setting.bash_is_five && plain_environment(variables);
    return task_start(&lackey->setting, script, direct ? plain->words : NULL, variables, fds);
}

/* Whether a bash that waits for tasks may run the script of a slot in this environment: it would run one as ever. */
static int may_fork(const struct lackey *lackey, uint32_t slot, char *const *variables)
{
    return slot == PASS_SLOT_EXEC && lackey->scripts[slot] && !lackey->plain[slot].words[0] &&
           lackey->setting.bash_is_five && lackey->setting.reach == TASK_NAMESPACE && plain_environment(variables);
}

/* Start a bash that waits for tasks, if so many wait that it is worth it. */
static void prepare_bash(struct lackey *lackey, uint32_t slot)
{
    if (lackey->prefork.pid || lackey->queue.count < PREFORK_WORTH || lackey->prefork.losses >= PREFORK_LOSSES)
        return;
    char **variables = environment_join(lackey->common, lackey->common_len, NULL, 0);
    if (variables && may_fork(lackey, slot, variables))
        prefork_start(&lackey->prefork, &lackey->setting, lackey->scripts[slot], variables);
}

pid_t lackey_begin(struct lackey *lackey, struct queued *run)
{
    prepare_bash(lackey, run->slot);
    char **variables = environment_join(lackey->common, lackey->common_len, run->environment, run->len);

    if (!variables)
        return -1;
    if (lackey->setting.reach == TASK_NAMESPACE)
        environment_reopen_input(&run->fds[0], variables);
    if (lackey->piped[run->slot] && outpipes_open(&lackey->outpipes, run->fds + 1) < 0)
        return -1;
    if (lackey->prefork.pid && may_fork(lackey, run->slot, variables)) {
        pid_t pid = prefork_run(&lackey->prefork, run->environment, run->len, run->fds);

        if (pid > 0 || errno != EAGAIN)
            return pid;
    }
    return lackey_run_script(lackey, run->slot, variables, run->fds);
}
