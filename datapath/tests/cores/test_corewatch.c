/* Core files are seen where `core_pattern` puts them, and nowhere else. */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "cores/corewatch.h"

static char base[] = "/tmp/corewatch-XXXXXX";
static const char *const places[] = {base, "/nowhere", NULL};

static void write_file(const char *directory, const char *name, int type)
{
    ElfW(Ehdr) header = {.e_ident = ELFMAG, .e_type = (ElfW(Half))type};
    char path[COREWATCH_PATH];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, &header, sizeof header) == sizeof header);
    CHECK(close(fd) == 0);
}

static void close_watch(const struct corewatch *watch)
{
    CHECK(close(watch->fd) == 0 && close(watch->root) == 0);
}

static int sees(const char *pattern, const char *name)
{
    struct corewatch watch;
    struct corewatch_found found;

    CHECK(corewatch_open(&watch, places, pattern, 1) == 0 && !watch.elsewhere);
    write_file(base, name, ET_CORE);
    int hit = corewatch_check(&watch, 1, &found);
    close_watch(&watch);
    return hit && strcmp(strrchr(found.path, '/') + 1, name) == 0;
}

static void names_begin_as_the_pattern_does(void)
{
    CHECK(sees("core", "core"));
    CHECK(sees("core", "core.17"));
    CHECK(!sees("core", "score"));
    CHECK(sees("dump-%p.%e", "dump-17.perl"));
    CHECK(!sees("dump-%p.%e", "core"));
    CHECK(sees("%e.core", "perl.core"));
}

static void what_is_no_core_is_not_taken_for_one(void)
{
    struct corewatch watch;
    struct corewatch_found found;

    CHECK(corewatch_open(&watch, places, "core", 1) == 0);
    write_file(base, "core", ET_EXEC);
    CHECK(!corewatch_check(&watch, 1, &found));
    close_watch(&watch);
}

static void the_directory_of_a_path_is_made_and_watched_alone(void)
{
    char pattern[2 * COREWATCH_PATH], directory[COREWATCH_PATH];
    struct corewatch watch;
    struct corewatch_found found;
    struct stat status;

    snprintf(directory, sizeof directory, "%s/var/cores", base);
    snprintf(pattern, sizeof pattern, "%s/core.%%e.%%p", directory);
    CHECK(corewatch_open(&watch, places, pattern, 1) == 0 && !watch.elsewhere);
    CHECK(stat(directory, &status) == 0 && (status.st_mode & 07777) == 01777);
    write_file(base, "core.perl.1", ET_CORE);
    CHECK(!corewatch_check(&watch, 1, &found));
    write_file(directory, "core.perl.1", ET_CORE);
    CHECK(corewatch_check(&watch, 1, &found) && strncmp(found.path, directory, strlen(directory)) == 0);
    close_watch(&watch);
}

static int goes_elsewhere(const char *pattern, int own)
{
    struct corewatch watch;

    CHECK(corewatch_open(&watch, places, pattern, own) == 0);
    close_watch(&watch);
    return watch.elsewhere;
}

static void programs_and_places_of_others_are_elsewhere(void)
{
    CHECK(goes_elsewhere("|/usr/lib/systemd/systemd-coredump %P", 1));
    CHECK(goes_elsewhere("@/run/cores", 1));
    CHECK(goes_elsewhere("/tmp/core.%p", 0));
    CHECK(goes_elsewhere("/tmp/%e/core", 1));
    CHECK(goes_elsewhere("/proc/nowhere/core", 1));
    CHECK(!goes_elsewhere("/core.%p", 1));
}

static void a_signal_tells_of_a_core_that_went_elsewhere(void)
{
    struct corewatch here = {.elsewhere = 0}, elsewhere = {.elsewhere = 1};

    CHECK(corewatch_tells(&elsewhere, SIGSEGV));
    CHECK(corewatch_tells(&elsewhere, (128 + SIGABRT) << 8));
    CHECK(!corewatch_tells(&elsewhere, SIGTERM));
    CHECK(!corewatch_tells(&elsewhere, (128 + SIGKILL) << 8));
    CHECK(!corewatch_tells(&elsewhere, 0));
    CHECK(!corewatch_tells(&elsewhere, SIGSEGV << 8)); /* exit 11 */
    CHECK(!corewatch_tells(&here, SIGSEGV));
}

int main(void)
{
    char remove[sizeof base + 16];

    CHECK(mkdtemp(base) != NULL);
    names_begin_as_the_pattern_does();
    what_is_no_core_is_not_taken_for_one();
    the_directory_of_a_path_is_made_and_watched_alone();
    programs_and_places_of_others_are_elsewhere();
    a_signal_tells_of_a_core_that_went_elsewhere();
    snprintf(remove, sizeof remove, "rm -r %s", base);
    CHECK(system(remove) == 0);
    return 0;
}
