#include "input/sources/relp/session.hpp"

#include <cstdlib>
#include <vector>

namespace {

using namespace bavn::input::sources::relp;

struct Seen {
  std::string messages, output, fault;
  bool open = false, over = false;
};

/// Fed in pieces of `step`; answered at the end, first to last or last to first.
Seen run(std::string_view bytes, std::size_t step, bool backwards) {
  Seen seen;
  Session session(100);
  std::vector<Ticket> owed;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    session.on_bytes(bytes.substr(at, step), [&](Ticket ticket, std::string_view message) {
      if (message.size() > 100) std::abort();
      seen.messages.append(message) += '\n';
      owed.push_back(ticket);
    });
    if (session.waiting() > (16U << 10U)) std::abort();
  }
  seen.output = session.take_output();
  for (std::size_t i = 0; i < owed.size(); ++i) {
    const Ticket ticket = owed[backwards ? owed.size() - 1 - i : i];
    if (ticket % 5 == 0) session.refused(ticket, "line\nend");
    else if (ticket % 5 == 1) session.passed_over(ticket, "line\nend");
    else session.stored(ticket);
  }
  seen.output += session.take_output();
  if (session.unanswered() != 0) std::abort();
  seen.fault = session.fault();
  seen.open = session.open();
  seen.over = session.over();
  if (!seen.messages.empty() && !seen.open) std::abort();
  session.close();
  session.take_output();
  if (!session.over()) std::abort();
  return seen;
}

}  // namespace

// However the bytes are cut and in whatever order records reach the disk, the sender is told the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Seen whole = run(bytes, bytes.size() + 1, false), parts = run(bytes, 1 + data[0] % 7, true);
  if (whole.messages != parts.messages || whole.output != parts.output || whole.fault != parts.fault ||
      whole.open != parts.open || whole.over != parts.over)
    std::abort();
  return 0;
}
