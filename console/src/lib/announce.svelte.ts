// What a screen reader is told. Streams are summarised, never read out record by record.

class Announcer {
  text = $state('');

  say(text: string): void {
    // The same sentence twice is two events: a changed blank makes it a new text.
    this.text = this.text === text ? `${text}\u00a0` : text;
  }
}

export const announcer = new Announcer();
