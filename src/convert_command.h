/*
 * convert_command.h - `cc-proxy convert`: the conversion as a filter, for bug reports and tests.
 *
 * Contract
 *   Input      stdin: a whole body, or a live stream.
 *   Output     stdout: what the other side would get; streams event by event.  stderr: the warning
 *              header, errors.
 *   Exit       0; 1 when the input was refused or the reply failed; 2 for a wrong command line.
 */
#ifndef CONVERT_COMMAND_H
#define CONVERT_COMMAND_H

#include "options.h"

int convert_command(const struct options *o);

#endif
