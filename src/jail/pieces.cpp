#include "jail/pieces.hpp"

#include <cstring>

#include "base/text.hpp"

namespace bavn::jail {

namespace {

struct PieceHead {
  std::uint32_t kind = 0, spare = 0;
  std::uint64_t number = 0, of = 0, name_size = 0, text_size = 0;
};
static_assert(sizeof(PieceHead) == 40);

bool unseen(std::uint32_t c) {
  return (c < ' ' && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0) || c == 0xAD || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x2064) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

}  // namespace

std::string clean_text(std::string_view text) {
  const std::string good = repair_utf8(text);
  std::string out;
  out.reserve(good.size());
  for (std::size_t i = 0; i < good.size();) {
    std::uint32_t c = 0;
    const std::size_t n = decode_utf8(good, i, c);
    if (n == 0) break;  // repaired: never
    if (c == '\r') {
      if (i + 1 >= good.size() || good[i + 1] != '\n') out += '\n';
    } else if (!unseen(c)) {
      out.append(good, i, n);
    }
    i += n;
  }
  return out;
}

void put_piece(std::string& flat, const Piece& piece) {
  std::string name = clean_text(piece.name);
  for (char& c : name)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  if (name.size() > kMaxPieceName) {
    std::size_t end = kMaxPieceName;
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80U) --end;
    name.resize(end);
  }
  const std::string text = clean_text(piece.text);
  const PieceHead head{.kind = static_cast<std::uint32_t>(piece.kind),
                       .spare = 0,
                       .number = piece.number,
                       .of = piece.of,
                       .name_size = name.size(),
                       .text_size = text.size()};
  flat.append(reinterpret_cast<const char*>(&head), sizeof head);
  flat += name;
  flat += text;
}

Result<std::vector<Piece>> pieces_of(std::string_view flat) {
  std::vector<Piece> out;
  while (!flat.empty()) {
    PieceHead head;
    if (flat.size() < sizeof head) return fail(Code::corrupt, "document answer: cut in a head");
    std::memcpy(&head, flat.data(), sizeof head);
    flat.remove_prefix(sizeof head);
    if (head.name_size > flat.size() || head.text_size > flat.size() - head.name_size)
      return fail(Code::corrupt, "document answer: lengths do not add up");
    if (head.kind < static_cast<std::uint32_t>(PieceKind::header) ||
        head.kind > static_cast<std::uint32_t>(PieceKind::mail))
      return fail(Code::corrupt, "document answer: an unknown kind of piece");
    const Piece piece{static_cast<PieceKind>(head.kind), head.number, head.of, flat.substr(0, head.name_size),
                      flat.substr(head.name_size, head.text_size)};
    // Cleaned over there, so cleaning changes nothing; a worker that was taken over need not have done it.
    if (piece.name.size() > kMaxPieceName || piece.name.find('\n') != std::string_view::npos ||
        clean_text(piece.name) != piece.name || clean_text(piece.text) != piece.text)
      return fail(Code::corrupt, "document answer: a text that is not clean");
    out.push_back(piece);
    flat.remove_prefix(head.name_size + head.text_size);
  }
  return out;
}

}  // namespace bavn::jail
