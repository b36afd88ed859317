/*
 * mcat - make existing objects outputs of the task, by name.
 */
#include <unistd.h>

#include "protocol/tool.h"

static struct tool tool = {
    .name = "mcat",
    .usage = "usage: mcat [-r REDUCER] PATH...\n"
             "\n"
             "Makes each object an output of this task by its name: nothing is copied, and it\n"
             "need not exist yet. A task that uses mcat does not have its stdout saved as well.\n"
             "\n"
             "  PATH         an object; `~~` stands for the job owner's directory\n"
             "  -r REDUCER   send the outputs to this reducer of the next phase, from 0\n"
             "  -p PORT      ignored, for scripts that were written for another service\n"
             "  --help       this text\n"
             "\n"
             "Exit status: 0; 1 if a path is not an output now; 2 for wrong usage.\n",
};

static int32_t parse(int argc, char **argv)
{
    int32_t reducer = -1;
    int found;

    while ((found = tool_option(&tool, argc, argv, "p:r:", NULL)) != -1) {
        switch (found) {
        case 'p':
            break;
        case 'r':
            reducer = tool_reducer(&tool, optarg);
            break;
        }
    }
    if (optind == argc)
        tool_misused(&tool, "path required");
    return reducer;
}

int main(int argc, char **argv)
{
    static struct tool_request request = {.open = {.kind = PASS_REFERENCE}};

    request.open.reducer = parse(argc, argv);
    /* All paths are checked before the first becomes an output. */
    for (int i = optind; i < argc; i++)
        tool_set_path(&tool, &request, argv[i]);
    for (int i = optind; i < argc; i++) {
        tool_set_path(&tool, &request, argv[i]);
        tool_open(&tool, &request, NULL, 0);
        close(tool.sock);
    }
    return 0;
}
