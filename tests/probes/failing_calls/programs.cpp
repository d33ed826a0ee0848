#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "walk.h"

namespace failing {
namespace {

struct Program {
  pid_t process = 0;   // the walker's
  pid_t stand_in = 0;  // the child's, once it is needed
  int socket = -1, errors = -1;
  char path[4096] = {};
  char argument[64] = {};
  char* told = nullptr;
  size_t told_size = 0, heard_size = 0;
};

Program programs[4];
int last_socket = -1, last_pipe = -1;

Program* found(pid_t process) {
  for (Program& each : programs)
    if (each.process == process) return &each;
  return nullptr;
}

Program* talks_on(int file) {
  for (Program& each : programs)
    if (each.process != 0 && each.socket == file) return &each;
  return nullptr;
}

void replace(int file, int by) {
  const int flags = fcntl(file, F_GETFL);
  dup3(by, file, O_CLOEXEC);
  fcntl(file, F_SETFL, flags & O_NONBLOCK);
  close(by);
}

// Allocates nothing: allocations may go on failing here.
void start_again(Program& program) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) abort();
  program.stand_in = fork();
  if (program.stand_in == 0) {
    const int nothing = open("/dev/null", O_RDWR);
    for (const int file : {0, 1, 2}) dup2(nothing, file);
    dup2(sockets[1], 3);
    for (int file = 4; file < 256; ++file) close(file);
    char* arguments[] = {program.path, program.argument, nullptr};
    execv(program.path, arguments);
    _exit(127);
  }
  close(sockets[1]);
  for (size_t done = 0; done < program.told_size;) {
    const ssize_t sent = send(sockets[0], program.told + done, program.told_size - done, MSG_NOSIGNAL);
    if (sent <= 0) abort();
    done += static_cast<size_t>(sent);
  }
  char buffer[4096];
  for (size_t left = program.heard_size; left > 0;) {
    const ssize_t got = recv(sockets[0], buffer, left < sizeof buffer ? left : sizeof buffer, 0);
    if (got <= 0) abort();
    left -= static_cast<size_t>(got);
  }
  replace(program.socket, sockets[0]);
}

}  // namespace

void remember_socket(int ours) { last_socket = ours; }
void remember_pipe(int ours) { last_pipe = ours; }

void remember_program(pid_t process, const char* path, char* const* arguments) {
  if (!is_walking()) return;
  Program* free_row = found(0);
  if (free_row == nullptr || strlen(path) >= sizeof free_row->path || arguments[1] == nullptr || arguments[2] != nullptr ||
      strlen(arguments[1]) >= sizeof free_row->argument)
    abort();  // this library has to learn of it
  *free_row = {};
  free_row->process = process;
  free_row->socket = last_socket;
  free_row->errors = last_pipe;
  strcpy(free_row->path, path);
  strcpy(free_row->argument, arguments[1]);
}

void remember_sent(int file, const void* bytes, size_t size) {
  Program* program = talks_on(file);
  if (program == nullptr) return;
  const Uncounted here;
  program->told = static_cast<char*>(realloc(program->told, program->told_size + size));
  memcpy(program->told + program->told_size, bytes, size);
  program->told_size += size;
}

void remember_received(int file, size_t size) {
  if (Program* program = talks_on(file)) program->heard_size += size;
}

void leave_programs_alone() {
  for (Program& each : programs) {
    if (each.process == 0) continue;
    for (const int file : {each.socket, each.errors})
      if (fcntl(file, F_GETFD) >= 0) replace(file, open("/dev/null", O_RDWR));
  }
}

void before_talk(int file) {
  Program* program = talks_on(file);
  if (walker() == 0 || program == nullptr || program->stand_in != 0) return;
  const Uncounted here;
  start_again(*program);
}

pid_t stand_in(pid_t process) {
  const Program* program = walker() == 0 ? nullptr : found(process);
  return program == nullptr ? process : program->stand_in;
}

void forget_program(pid_t process) {
  Program* program = process == 0 ? nullptr : found(process);
  if (program == nullptr) return;
  free(program->told);
  program->process = 0;
}

}  // namespace failing
