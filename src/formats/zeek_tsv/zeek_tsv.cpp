// Zeek's TSV logs of every type: the header lines name the columns. Names are Zeek's own (id.orig_h); the log's name is _path.
#include <vector>

#include "base/text.hpp"
#include "formats/line_reader.hpp"
#include "formats/line_tools.hpp"

namespace bavn::formats::zeek_tsv {

namespace {

constexpr std::size_t kMaxColumns = 1000;
constexpr std::size_t kMaxHeader = 64 * 1024;

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = ascii_lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/// "\x09" -> tab. Appends.
void append_unescaped(std::string& out, std::string_view s) {
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '\\' && i + 3 < s.size() && s[i + 1] == 'x' && hex(s[i + 2]) >= 0 && hex(s[i + 3]) >= 0) {
      out += static_cast<char>(hex(s[i + 2]) * 16 + hex(s[i + 3]));
      i += 3;
    } else if (s[i] == '\\' && i + 1 < s.size() && s[i + 1] == '\\') {
      out += '\\';
      ++i;
    } else {
      out += s[i];
    }
  }
}

class Reader final : public LineReader {
 public:
  LineVerdict read(std::string_view line, FieldSink& sink, std::string& reason) override {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) return LineVerdict::meta;
    if (line.front() == '#') return header(line, reason);
    if (columns_.empty()) {
      reason = "zeek line before a #fields line";
      return LineVerdict::refused;
    }
    std::size_t column = 0;
    std::optional<Instant> t;
    if (!path_.empty()) sink.put("_path", path_);
    std::string_view rest = line;
    for (bool more = true; more; ++column) {
      const std::size_t end = rest.find(separator_);
      const std::string_view value = rest.substr(0, end);
      more = end != std::string_view::npos;
      if (more) rest.remove_prefix(end + separator_.size());
      if (column >= columns_.size()) {
        reason = "zeek line has more columns than #fields";
        return LineVerdict::refused;
      }
      if (value == unset_ || value == empty_ || value.empty()) continue;
      const Column& c = columns_[column];
      if (c.name.empty()) continue;
      if (c.name == "ts") t = parse_epoch(value);
      if (!c.list) {
        put(sink, c.name, value);
        continue;
      }
      for (std::string_view items = value; !items.empty();) {
        const std::size_t stop = items.find(set_separator_);
        put(sink, c.name, items.substr(0, stop));
        items.remove_prefix(stop == std::string_view::npos ? items.size() : stop + set_separator_.size());
      }
    }
    if (column != columns_.size()) {
      reason = "zeek line has fewer columns than #fields";
      return LineVerdict::refused;
    }
    if (t) sink.happened(*t);
    return LineVerdict::event;
  }

  int likelihood(std::string_view line) const override {
    if (line.starts_with("#separator ")) return 100;
    for (const std::string_view key :
         {"#fields", "#types", "#path", "#set_separator", "#empty_field", "#unset_field", "#open", "#close"})
      if (line.starts_with(key) && line.substr(key.size()).starts_with(separator_)) return 95;
    if (columns_.empty() || line.empty()) return 0;
    if (line.front() == '#') return 60;  // a comment between the lines of the log
    std::size_t n = 1;
    for (std::size_t at = line.find(separator_); at != std::string_view::npos;
         at = line.find(separator_, at + separator_.size()))
      ++n;
    return n == columns_.size() ? 90 : 0;
  }

  void reset() override {
    separator_ = "\t";
    set_separator_ = ",";
    empty_ = "(empty)";
    unset_ = "-";
    path_.clear();
    columns_.clear();
    context_.clear();
  }
  std::string_view context() const override { return context_; }

 private:
  struct Column {
    std::string name;
    bool list = false;
  };

  void put(FieldSink& sink, std::string_view name, std::string_view value) {
    if (value.empty()) return;
    if (value.find('\\') == std::string_view::npos) return sink.put(name, value);
    scratch_.clear();
    append_unescaped(scratch_, value);
    sink.put(name, scratch_);
  }

  LineVerdict header(std::string_view line, std::string& reason) {
    if (line.starts_with("#separator ")) {
      reset();
      separator_.clear();
      append_unescaped(separator_, line.substr(11));
      if (separator_.empty() || separator_.size() > 8) {
        separator_ = "\t";
        reason = "zeek #separator is not usable";
        return LineVerdict::refused;
      }
      return keep(line);
    }
    const std::size_t end = line.find(separator_);
    const std::string_view key = line.substr(0, end);
    const std::string_view value =
        end == std::string_view::npos ? std::string_view{} : line.substr(end + separator_.size());
    if (key == "#set_separator") set_separator_ = value.empty() ? "," : std::string(value.substr(0, 8));
    else if (key == "#empty_field") empty_ = value.substr(0, 64);
    else if (key == "#unset_field") unset_ = value.substr(0, 64);
    else if (key == "#path") path_ = value.substr(0, 256);
    else if (key == "#fields" || key == "#types") {
      if (line.size() > kMaxHeader) {
        reason = "zeek header line is too long";
        return LineVerdict::refused;
      }
      const bool names = key == "#fields";
      if (names) columns_.clear();
      std::size_t n = 0;
      for (std::string_view rest = value; n < kMaxColumns; ++n) {
        const std::size_t stop = rest.find(separator_);
        const std::string_view item = rest.substr(0, stop);
        if (names) columns_.push_back({std::string(item), false});
        else if (n < columns_.size()) columns_[n].list = item.starts_with("set[") || item.starts_with("vector[");
        if (stop == std::string_view::npos) break;
        rest.remove_prefix(stop + separator_.size());
      }
    } else {
      return LineVerdict::meta;  // #open, #close and comments
    }
    return keep(line);
  }
  LineVerdict keep(std::string_view line) {
    if (context_.size() + line.size() < 2 * kMaxHeader) {
      if (!context_.empty()) context_ += '\n';
      context_ += line;
    }
    return LineVerdict::meta;
  }

  std::string separator_ = "\t", set_separator_ = ",", empty_ = "(empty)", unset_ = "-", path_, context_, scratch_;
  std::vector<Column> columns_;
};

}  // namespace

std::unique_ptr<LineReader> make_reader() {
  return std::make_unique<Reader>();
}

}  // namespace bavn::formats::zeek_tsv
