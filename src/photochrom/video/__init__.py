"""Film: gray pictures one after the other, colored so that colors stay steady in time."""
