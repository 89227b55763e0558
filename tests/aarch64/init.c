// The first program of a virtual machine: holds a child to the filters of `filters.h`, tries every call that they refuse, and says what the kernel answered.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include "filters.h"

#define COUNT(array) (sizeof(array) / sizeof(array[0]))

static void *nothing(void *given) { return given; }

static long install(struct sock_filter *filter, unsigned short length) {
  struct sock_fprog program = {length, filter};
  return syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

static void attack(void) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  printf("FILTERS %ld %ld\n", install(inherited, COUNT(inherited)), install(child, COUNT(child)));
  int as_computed = 0, otherwise = 0;
  for (unsigned at = 0; at < COUNT(calls); at++) {
    errno = 0;
    long got = syscall(calls[at].number, 0, 0, 0, 0, 0, 0);
    if (got == -1 && errno == calls[at].error) {
      as_computed++;
      continue;
    }
    otherwise++;
    printf("DIFFERS %s: %ld, errno %d, not %d\n", calls[at].name, got, errno, calls[at].error);
  }
  printf("REFUSED %d as computed, %d otherwise\n", as_computed, otherwise);
  pthread_t thread;
  int failed = pthread_create(&thread, NULL, nothing, NULL);
  if (!failed) pthread_join(thread, NULL);
  pid_t forked = fork();
  if (!forked) _exit(0);
  printf("THREAD %d FORK %d\n", !failed, forked > 0);
  printf("SOCKETS inet %d unix %d vsock %d packet %d\n", socket(AF_INET, SOCK_STREAM, 0) >= 0,
         socket(AF_UNIX, SOCK_STREAM, 0) >= 0, socket(AF_VSOCK, SOCK_STREAM, 0) >= 0, socket(AF_PACKET, SOCK_RAW, 0) >= 0);
  fflush(stdout);
  _exit(0);
}

int main(void) {
  struct utsname system;
  uname(&system);
  printf("KERNEL %s %s\n", system.release, system.machine);
  fflush(stdout);
  if (!fork()) attack();
  int status;
  wait(&status);
  printf("ENDED %d\n", status);
  fflush(stdout);
  reboot(RB_POWER_OFF);
}
