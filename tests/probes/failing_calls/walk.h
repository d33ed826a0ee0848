// One process that tries the failure of every call that it makes: at each one it forks a child in which that call fails, waits for the
// child's end, and goes on as if nothing had been. FAILING_WALK is the number of a stream to whoever asked for it:
//
//   > malloc 17      the walker is at its 17th allocation
//   < once FOLDER    a child goes on in FOLDER, a copy of the current one, and says to FOLDER.err what it says
//   < on FOLDER      likewise, and all later calls of this kind fail
//   > 256            the child's wait status, after which the next answer is read
//   <                an empty line: enough of this call
//   > threads        this call is passed over: a child has one thread, and the walker has more now
#pragma once

#include <poll.h>
#include <sys/types.h>

namespace failing {

// While one lives, calls are neither counted nor made to fail.
class Uncounted {
 public:
  Uncounted() { ++depth; }
  ~Uncounted() { --depth; }
  static bool is_on() { return depth != 0; }

 private:
  static inline int depth = 0;  // of one thread: there are no others when it changes
};

// Called at every call; false unless this process is one of those children and the call is to fail in it.
struct Step {
  bool fails = false;
  bool on = false;
};
bool is_walking();
Step walk(const char* call, long number);
// Of a child: the process that walks. 0 in all others.
pid_t walker();

// The programs that the walker has started and talks to on a socket. A child of the walker has none of them: the first word that it says
// to one, or waits for, starts another, which is told everything that the first one was told.
void remember_socket(int ours);
void remember_pipe(int ours);
void remember_program(pid_t program, const char* path, char* const* arguments);
void remember_sent(int file, const void* bytes, size_t size);
void remember_received(int file, size_t size);
void leave_programs_alone();  // in the child, first
void before_talk(int file);
// The process that stands for `program` here; 0 when there is none.
pid_t stand_in(pid_t program);
void forget_program(pid_t program);

}  // namespace failing
