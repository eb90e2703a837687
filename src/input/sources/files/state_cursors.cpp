#include "input/sources/files/state_cursors.hpp"

#include <boost/describe/class.hpp>

namespace bavn::input::sources::files {

BOOST_DESCRIBE_STRUCT(Cursor, (),
                      (life, path, device, inode, head_length, head_hash, tail_length, tail_hash, at, offered, shape,
                       encoding, skipping, over, complete, context, updated_us))

Result<std::vector<Cursor>> StateCursors::load(const std::string& source) {
  return state_.read([&](store::Reader& db) {
    return db.all<Cursor>(
        "SELECT life, path, device, inode, head_length, head_hash, tail_length, tail_hash, at, offered, shape, "
        "encoding, "
        "skipping, over, complete, context, updated_us FROM file_cursor WHERE source = :source",
        {{"source", source}});
  });
}

void StateCursors::save(const std::string& source, std::vector<Cursor> rows, std::vector<std::int64_t> forget,
                        std::move_only_function<void(Result<void>)> then) {
  state_.write(
      [source, rows = std::move(rows), forget = std::move(forget)](store::Tx& tx) -> Result<void> {
        for (const Cursor& row : rows)
          BAVN_CHECK(
              tx.exec("INSERT INTO file_cursor (source, life, path, device, inode, head_length, head_hash, "
                      "tail_length, tail_hash, at, offered, shape, encoding, skipping, over, complete, context, "
                      "updated_us) VALUES (:source, :life, :path, :device, :inode, :head_length, :head_hash, "
                      ":tail_length, :tail_hash, :at, :offered, :shape, :encoding, :skipping, :over, :complete, "
                      ":context, :updated_us) ON CONFLICT (source, life) DO UPDATE SET path = excluded.path, "
                      "device = excluded.device, inode = excluded.inode, head_length = excluded.head_length, "
                      "head_hash = excluded.head_hash, tail_length = excluded.tail_length, tail_hash = "
                      "excluded.tail_hash, at = excluded.at, offered = excluded.offered, shape = excluded.shape, "
                      "encoding = excluded.encoding, skipping = excluded.skipping, over = excluded.over, complete "
                      "= excluded.complete, context = excluded.context, updated_us = excluded.updated_us",
                      {{"source", source},
                       {"life", row.life},
                       {"path", row.path},
                       {"device", row.device},
                       {"inode", row.inode},
                       {"head_length", row.head_length},
                       {"head_hash", row.head_hash},
                       {"tail_length", row.tail_length},
                       {"tail_hash", row.tail_hash},
                       {"at", row.at},
                       {"offered", row.offered},
                       {"shape", row.shape},
                       {"encoding", row.encoding},
                       {"skipping", row.skipping},
                       {"over", row.over},
                       {"complete", row.complete},
                       {"context", row.context},
                       {"updated_us", row.updated_us}}));
        for (const std::int64_t life : forget)
          BAVN_CHECK(tx.exec("DELETE FROM file_cursor WHERE source = :source AND life = :life",
                             {{"source", source}, {"life", life}}));
        return {};
      },
      std::move(then));
}

}  // namespace bavn::input::sources::files
