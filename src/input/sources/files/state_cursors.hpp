#pragma once
#include "input/sources/files/cursors.hpp"
#include "store/state.hpp"

namespace bavn::input::sources::files {

/// In the table file_cursor. Thread rules: any thread. Life: the State outlives it.
class StateCursors final : public Cursors {
 public:
  explicit StateCursors(store::State& state) : state_(state) {}
  Result<std::vector<Cursor>> load(const std::string& source) override;
  void save(const std::string& source, std::vector<Cursor> rows, std::vector<std::int64_t> forget,
            std::move_only_function<void(Result<void>)> then) override;

 private:
  store::State& state_;
};

}  // namespace bavn::input::sources::files
