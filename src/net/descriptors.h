/*
 * descriptors.h - how many file descriptors this process may have.
 *
 * Contract
 *   descriptors_raise() lets it have as many as the system does (the hard limit), but for
 *   DESCRIPTORS_RESERVE, which only accept() through descriptors_accept_reserved() gets.  So
 *   those who look after the process reach it when clients have taken all others.
 *   Errors   -errno as of accept4(); -EMFILE when the reserve is used up too, or there is none.
 */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

#include "must.h"

enum { DESCRIPTORS_RESERVE = 8 };

void descriptors_raise(void);
/* A new conn of this listening socket, non-blocking and close-on-exec. */
int descriptors_accept(int listener) MUST_CHECK;
int descriptors_accept_reserved(int listener) MUST_CHECK;

#endif
