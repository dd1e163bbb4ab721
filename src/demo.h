/*
 * demo.h - `cc-proxy demo`: serves with the simulator on free loopback ports, sends one
 * sample request through each service, shows request and streamed reply, ends.
 */
#ifndef DEMO_H
#define DEMO_H

int demo_run(const char *binary); /* exit code */

#endif
