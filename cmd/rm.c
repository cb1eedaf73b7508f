#include "cmd/command.h"
#include "cmd/picture.h"
#include "cmd/recording.h"
#include "store/file.h"
#include "util/cleanup.h"
#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct option_spec options[] = {
    {'n', "dry-run", NULL, "say what would be removed, and remove nothing"},
    {0},
};

/* Removes one file of a recording, or says that it would; one that is not there is no failure. */
static int remove_part(const char *path, const char *suffix, bool dry_run)
{
    mw_auto_free char *part = NULL;
    mw_auto_free char *shown = NULL;

    if (asprintf(&part, "%s%s", path, suffix) < 0) {
        part = NULL;
        cmd_message("out of memory");
        return CMD_FAILED;
    }
    if (dry_run ? access(part, F_OK) < 0 : unlink(part) < 0) {
        if (errno == ENOENT)
            return CMD_OK;
        cmd_message("cannot remove %s: %s", part, strerrordesc_np(errno));
        return CMD_FAILED;
    }
    shown = mw_text_printable(part);
    printf("%s %s\n", dry_run ? "would remove" : "removed", shown ? shown : "?");
    return CMD_OK;
}

/*
 * The picture that plot draws without -o, beside a recording that has its name from memwatch: what
 * a user has named may stand beside a picture of theirs.
 */
static int remove_picture(const char *path, bool dry_run)
{
    static const char own_name[] = "memwatch_";
    mw_auto_free char *picture = picture_beside(path, ".png");
    struct stat status;

    if (!picture || strncmp(path, own_name, strlen(own_name)) != 0 || lstat(picture, &status) < 0 ||
        !S_ISREG(status.st_mode))
        return CMD_OK;
    return remove_part(picture, "", dry_run);
}

/* Removes a recording: never one that is being made, and nothing that is no memwatch file. */
static int remove_recording(const char *path, bool dry_run)
{
    if (!mw_file_is_memwatch(path)) {
        cmd_message("%s is no memwatch file: not removed", path);
        return CMD_FAILED;
    }
    if (mw_file_is_recording(path)) {
        cmd_message("%s is being recorded: not removed", path);
        return CMD_FAILED;
    }
    /* The log goes first: alone it means nothing, while a file without its log would look whole. */
    if (remove_part(path, "-wal", dry_run) != CMD_OK ||
        remove_part(path, "-shm", dry_run) != CMD_OK)
        return CMD_FAILED;
    return remove_part(path, "", dry_run);
}

static int parse(const struct command *command, int argc, char **argv, struct cmd_line *ret_line,
                 bool *ret_dry_run)
{
    int id;

    *ret_line = cmd_line(command, argc, argv);
    *ret_dry_run = false;
    while ((id = cmd_next(ret_line)) > 0)
        *ret_dry_run = true;
    return id < 0 ? command->usage_status : CMD_OK;
}

/* "a.db:1", where a.db is there. */
static bool names_run(const char *operand)
{
    const char *colon = strrchr(operand, ':');
    mw_auto_free char *file = colon ? strndup(operand, (size_t)(colon - operand)) : NULL;

    return file && colon[1] && colon[1 + strspn(colon + 1, "0123456789")] == '\0' &&
           mw_file_is_memwatch(file);
}

static int rm(const struct command *command, int argc, char **argv)
{
    struct cmd_line line;
    struct mw_error error;
    char **paths;
    bool dry_run;
    int status = parse(command, argc, argv, &line, &dry_run);

    if (status != CMD_OK)
        return status;
    if (line.operand_count == 0)
        return cmd_usage(command, "which recording?");
    paths = calloc((size_t)line.operand_count, sizeof *paths);
    if (!paths) {
        cmd_message("out of memory");
        return CMD_FAILED;
    }
    /* All numbers are looked up first: removing one recording would shift those of the others. */
    for (int i = 0; i < line.operand_count; i++) {
        if (find_file(line.operands[i], &paths[i], &error) == 0)
            continue;
        if (names_run(line.operands[i]))
            mw_error_set(&error, -EINVAL, "%s is a single run: rm removes whole files",
                         line.operands[i]);
        status = cmd_fail(&error);
    }
    for (int i = 0; i < line.operand_count; i++) {
        if (paths[i] && remove_recording(paths[i], dry_run) != CMD_OK)
            status = CMD_FAILED;
        free(paths[i]);
    }
    free(paths);
    return status;
}

static int clean(const struct command *command, int argc, char **argv)
{
    struct listed_file *files;
    struct cmd_line line;
    struct mw_error error;
    size_t count;
    bool dry_run;
    int status = parse(command, argc, argv, &line, &dry_run);

    if (status != CMD_OK)
        return status;
    if (line.operand_count > 0)
        return cmd_usage(command, "'%s' is one word too many: 'memwatch rm' removes single files",
                         line.operands[0]);
    if (list_files(&files, &count, &error) < 0)
        return cmd_fail(&error);
    for (size_t i = 0; i < count; i++) {
        if (mw_file_is_recording(files[i].path))
            cmd_message("%s is being recorded: left alone", files[i].path);
        else if (remove_recording(files[i].path, dry_run) != CMD_OK ||
                 remove_picture(files[i].path, dry_run) != CMD_OK)
            status = CMD_FAILED;
    }
    free_listed_files(files, count);
    return status;
}

const struct command rm_command = {
    .name = "rm",
    .operands = "FILE|INDEX…",
    .summary = "remove recordings",
    .details = "Never removes one that is being recorded, nor a file that is no recording.",
    .options = options,
    .usage_status = CMD_USAGE,
    .run = rm,
};

const struct command clean_command = {
    .name = "clean",
    .operands = "",
    .summary = "remove all recordings of this folder",
    .details =
        "Files of memwatch in the current folder, with what SQLite left beside them, and the\n"
        "pictures memwatch_….png that plot has drawn of them without -o; never a recording that "
        "is\n"
        "being made.",
    .options = options,
    .usage_status = CMD_USAGE,
    .run = clean,
};
