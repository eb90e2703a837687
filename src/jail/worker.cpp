#include "jail/worker.hpp"

#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <new>

#include "base/let_go.hpp"
#include "jail/archive.hpp"
#include "jail/mail_text.hpp"
#include "jail/pdf_text.hpp"
#include "jail/xml_events.hpp"

namespace bavn::jail {

Result<std::string> read_item(Task task, std::string_view input) {
  if (input.size() > kMaxInput) return fail(Code::bad_input, "the item is larger than 64 MiB; hand it over in parts");
  switch (task) {
    case Task::xml_events: return xml_events(input);
    case Task::archive_list: return archive_members(input, false);
    case Task::archive_extract: return archive_members(input, true);
    case Task::pdf_text: return pdf_text(input);
    case Task::mail_text: return mail_text(input);
  }
  return fail(Code::bad_input, "no such task");
}

namespace {

// The limits outlive whatever the item makes the process do. Seconds of CPU: a worker whose master died while it hung.
[[maybe_unused]] bool limit_resources() {
  const auto limit = [](__rlimit_resource what, rlim_t n) {
    const rlimit r{n, n};
    return setrlimit(what, &r) == 0;
  };
  return limit(RLIMIT_AS, 512U << 20) && limit(RLIMIT_CORE, 0) && limit(RLIMIT_FSIZE, 0) && limit(RLIMIT_NOFILE, 16) &&
         limit(RLIMIT_CPU, 3600);
}

// 15 calls, and mmap without PROT_EXEC. Opening a file finds none: a charset or a font that a document names is then one that is not
// there, and the document is read without it. Everything else ends the process with SIGSYS.
[[maybe_unused]] bool lock_in() {
  const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (filter == nullptr) return false;
  bool good = true;
  const auto allow = [&](int call) {
    good = good && seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 0, nullptr) == 0;
  };
  const auto allow_if = [&](int call, scmp_arg_cmp condition) {
    good = good && seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition) == 0;
  };
  const auto finds_nothing = [&](int call) {
    good = good && seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOENT), call, 0, nullptr) == 0;
  };
  for (int call : {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(access), SCMP_SYS(readlink)}) finds_nothing(call);
  allow_if(SCMP_SYS(read), SCMP_A0_64(SCMP_CMP_EQ, STDIN_FILENO, 0));
  allow_if(SCMP_SYS(write), SCMP_A0_64(SCMP_CMP_EQ, STDOUT_FILENO, 0));
  allow_if(SCMP_SYS(mmap), SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  allow_if(SCMP_SYS(mprotect), SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  for (int call :
       {SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(futex), SCMP_SYS(clock_gettime),
        SCMP_SYS(getrandom), SCMP_SYS(rt_sigreturn), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(alarm)})
    allow(call);
  good = good && seccomp_load(filter) == 0;  // sets no_new_privs first
  seccomp_release(filter);
  return good;
}

// False at the end of input or when the other side is gone.
bool read_all(char* into, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::read(STDIN_FILENO, into, size);
    if (n <= 0) return false;
    into += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

bool write_all(const char* from, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(STDOUT_FILENO, from, size);
    if (n <= 0) return false;
    from += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

// Libraries that open files or ask the system late do it now, before the door is shut.
void warm_up() {
  std::setlocale(LC_ALL, "C.UTF-8");  // libarchive converts names by it
  setenv("TZ", "UTC0", 1);            // without it every time of a zip member looks at /etc/localtime
  tzset();
  warm_up_archives();
  (void)xml_events("<Event/>");
  warm_up_pdf();
  warm_up_mail();
}

}  // namespace

int worker_main(const Reader& reader) {
  warm_up();
  // The filter knows two descriptors; whatever else was inherited is shut.
  close_range(3, ~0U, 0);
  prctl(PR_SET_DUMPABLE, 0);
#ifndef BAVN_SANITIZED
  if (!limit_resources() || !lock_in()) {
    std::fputs("bavn parse-worker: the sandbox could not be set up (seccomp, limits); nothing is read without it\n",
               stderr);
    return 1;
  }
#endif
  std::string input;
  for (FrameHead head; read_all(reinterpret_cast<char*>(&head), sizeof head);) {
    if (head.magic != FrameHead{}.magic || head.size > kMaxInput) return 2;
    alarm(60);  // the master's deadline comes first; this one is for a worker whose master died
    Result<std::string> answer = std::string();
    try {
      input.resize(head.size);
      if (!read_all(input.data(), input.size())) return 0;
      answer = reader(static_cast<Task>(head.code), input);
    } catch (const std::bad_alloc&) {
      answer = fail(Code::bad_input, "the item needs more memory than a worker has (512 MB)");
    }
    if (answer && answer->size() > kMaxAnswer) answer = fail(Code::bad_input, "the item unpacks to more than 192 MiB");
    const std::string& body = answer ? *answer : answer.error().what;
    const FrameHead reply{.code = answer ? 0U : 1U + static_cast<std::uint32_t>(answer.error().code),
                          .size = body.size()};
    if (!write_all(reinterpret_cast<const char*>(&reply), sizeof reply) || !write_all(body.data(), body.size()))
      return 0;
    alarm(0);
    if (input.capacity() > (4U << 20)) let_go(input);
  }
  return 0;
}

}  // namespace bavn::jail
