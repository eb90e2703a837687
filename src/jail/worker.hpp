#pragma once
// The inside of the jail: `bavn parse-worker` reads items from its standard input and answers on its standard output.
#include <functional>
#include <string>
#include <string_view>

#include "jail/task.hpp"

namespace bavn::jail {

using Reader = std::function<Result<std::string>(Task, std::string_view)>;

/// Locks itself in, then serves until its input ends. Returns the exit code. reader: only tests give another one.
int worker_main(const Reader& reader = read_item);

/// Both directions start with this. code: the task on the way in; 0 or 1 + Code on the way out.
struct FrameHead {
  std::uint32_t magic = 0x4E564142;  // "BAVN"
  std::uint32_t code = 0;
  std::uint64_t size = 0;
};
static_assert(sizeof(FrameHead) == 16);

}  // namespace bavn::jail
